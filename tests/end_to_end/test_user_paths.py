"""The first hour of new users, as scripts: a folder with a CSV of labels, a training, and another model's embeddings.

The first path also runs on real recordings if MYNA_TEST_RECORDINGS names a folder with two or more albums as folders.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import synthetic_audio
import synthetic_embeddings
import synthetic_report
import tiny

from dags import explore
from model import compare, export, extract, metrics, predict, probe, report, search
from model.encoder.config import PRESETS
from pipeline import ingest, shard
from stores import locations
from stores.mel_store import MelStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RECORDINGS = os.environ.get("MYNA_TEST_RECORDINGS", "")
MOODS = ("calm", "bright")


def _write_songs(folder, songs=40):
    """Write songs in albums of four. Calm ones are low sines, bright ones are high squares."""
    lines = ["path,mood"]
    for song in range(songs):
        mood = MOODS[song % 2]
        name = f"album {song // 4}/{song}.wav"
        melody = [
            (
                synthetic_audio.sine(220 * 2 ** (n / 12), 0.5)
                if mood == "calm"
                else 0.3 * synthetic_audio.square(700 + n)
            )
            for n in np.random.default_rng(song).integers(0, 12, 14)
        ]
        synthetic_audio.write(folder / name, np.concatenate(melody))
        lines.append(f"{name},{mood}")
    (folder.parent / "labels.csv").write_text("\n".join(lines) + "\n")


def _run(command, *words):
    assert command.main([str(word) for word in words]) == 0


def test_a_folder_with_a_csv_becomes_a_map_neighbors_and_a_classifier_in_four_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny.write_run(tmp_path / "runs" / "first")
    _write_songs(tmp_path / "music")

    _run(explore, "music", "--labels", "labels.csv", "--audio", 4, "--workers", 2)
    page = locations.report("music").read_text()
    assert re.search(r"mood: \d+ % of 40 recordings are recognized", page.replace("\u00a0", " "))
    capsys.readouterr()
    _run(search, "music", "0.wav", "--json")
    assert len(json.loads(capsys.readouterr().out)["matches"]) == 10
    _run(probe, "music", "--task", "mood")
    printed = capsys.readouterr().out
    probe_file = next((tmp_path / "runs" / "first" / "probes").glob("music.mood.trained.safetensors"))
    assert "music / mood: 2 classes" in printed
    _run(predict, "music", "--probe", probe_file, "--out", "moods.parquet")
    rows = pq.read_table("moods.parquet").to_pylist()
    right = [row["prediction"] == MOODS[int(Path(row["id"]).stem) % 2] for row in rows]
    assert len(rows) == 40
    assert np.mean(right) > 0.6  # the encoder is untrained


@pytest.mark.skipif(not RECORDINGS, reason="MYNA_TEST_RECORDINGS names no folder of music")
def test_a_folder_of_real_recordings_becomes_a_map_with_neighbors_and_scores(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny.write_run(tmp_path / "runs" / "first")
    files = [path for path in sorted(Path(RECORDINGS).rglob("*")) if path.suffix in (".ogg", ".mp3", ".flac", ".wav")]
    names = [path.relative_to(RECORDINGS).as_posix() for path in files]
    lines = ["path,album", *(f'"{name}","{Path(name).parent.name}"' for name in names)]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    _run(explore, RECORDINGS, "--labels", "labels.csv", "--audio", 2, "--name", "real")
    assert locations.report("real").stat().st_size > 1e6
    capsys.readouterr()
    _run(search, "real", names[0], "--json")
    assert json.loads(capsys.readouterr().out)["matches"]


def test_a_training_is_watched_stopped_resumed_extended_compared_exported_and_used(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PRESETS, "mini", tiny.encoder_config())
    _write_songs(tmp_path / "music", 12)
    _run(ingest, "folder", "--root", "music", "--store", "stores/mine.zarr", "--labels", "labels.csv", "--workers", 2)
    _run(shard, "stores/mine.zarr")
    train = ["--store", "stores/mine.zarr", "--preset", "tiny-vertical", "--batch", "4", "--log-every", "1"]

    # stopped by SIGTERM, resumed by the same command, and extended by a larger --steps
    command = [sys.executable, "-m", "model.train", *train, "--name", "one", "--steps", "40"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics_file = tmp_path / "runs" / "one" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics_file.is_file() and metrics_file.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    stopped_at = len(metrics_file.read_text().splitlines())
    assert 0 < stopped_at < 40
    from model import train as training

    _run(training, *train, "--name", "one", "--steps", "40")
    _run(training, *train, "--name", "one", "--steps", "42")
    assert json.loads(metrics_file.read_text().splitlines()[-1])["step"] == 41
    _run(training, *train, "--name", "two", "--steps", "4", "--seed", "1")
    _run(metrics, "one", "--to", "csv")

    capsys.readouterr()
    _run(compare, "one", "two", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["settings"]) == {"seed", "steps"}
    assert (tmp_path / printed["page"]).is_file()
    _run(report, "--run", "one", "--name", "one")
    assert "This run has no scores yet" in (tmp_path / "reports" / "one.html").read_text()
    _run(export, "hub", "--checkpoint", "one", "--out", "exported")
    assert (tmp_path / "exported" / "model.safetensors").is_file()
    _run(extract, "mine", "--checkpoint", "exported")
    assert len(MelStore.open(locations.mel_store("mine"))) == 12


def test_another_model_is_scored_on_four_sets_and_shown_beside_table_1(tmp_path, monkeypatch, capsys, make_store):
    monkeypatch.chdir(tmp_path)
    synthetic_report.everything(make_store)
    labels = {row.id: row.labels["genre"] for row in MelStore.open(locations.mel_store("made")).rows}
    names = sorted(set(labels.values()))
    vectors = np.eye(len(names), 6, dtype=np.float32)[[names.index(label) for label in labels.values()]]
    synthetic_embeddings.write(tmp_path / "made.other.npz", list(labels), vectors)
    _run(report, "--run", "first", "--name", "table")
    page = (tmp_path / "reports" / "table.html").read_text()
    for row in ("Myna-Hybrid (22M)", "MERT-95M-public (95M)", "KeyMyna"):
        assert row in page
    capsys.readouterr()
    _run(compare, "magnatagatune", "gtzan", "giantsteps", "emomusic", "--run", "first", "--json")
    assert len(json.loads(capsys.readouterr().out)["scores"]) == 4
    _run(search, "made.other.npz", "clip-0", "--count", 3, "--json")
    assert len(json.loads(capsys.readouterr().out)["matches"]) == 3
