"""The first hour of new users, as scripts: a folder with a CSV of labels, a training, and another model's embeddings.

The first two paths run on real recordings if MYNA_TEST_RECORDINGS names a folder with two or more albums as folders.
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
import synthetic_songs
import synthetic_splits
import tiny

from dags import benchmark, explore
from model import compare, export, extract, metrics, predict, probe, report, search
from model.encoder.config import PRESETS
from pipeline import ingest, shard
from pipeline.datasets import emomusic, giantsteps, gtzan, jukemir, magnatagatune
from stores import locations
from stores.mel_store import MelStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RECORDINGS = os.environ.get("MYNA_TEST_RECORDINGS", "")


def _write_songs(folder, songs=40):
    """Write songs in albums of four, whose folders have a space in their names, and their table of moods."""
    paths = synthetic_songs.write(folder, songs, lambda song: f"album {song // 4}/{song}.wav")
    synthetic_songs.write_labels(folder.parent / "labels.csv", paths)


def _write_songs_or_link_recordings(folder, count):
    """Link real recordings if the machine has them, otherwise write songs, and return how many there are."""
    if not RECORDINGS:
        _write_songs(folder, count)
        return count
    folder.mkdir()
    files = [path for path in sorted(Path(RECORDINGS).rglob("*")) if path.suffix in (".ogg", ".mp3", ".flac")][:count]
    for path in files:
        (folder / path.name).symlink_to(path.resolve())
    return len(files)


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
    right = [row["prediction"] == synthetic_songs.mood(int(Path(row["id"]).stem)) for row in rows]
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
    clips = _write_songs_or_link_recordings(tmp_path / "music", 12)
    _run(ingest, "folder", "--root", "music", "--store", "stores/mine.zarr", "--workers", 2)
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
    assert len(MelStore.open(locations.mel_store("mine"))) == clips


def _write_benchmark_audio(root, splits):
    """Write a little audio in the published layout of each benchmark set, and return the set's tracks.

    Of each split, the first few clips of each label are written. A clip is a tone, because scores do not matter here.
    """
    tracks = {}
    for number, (name, (module, metadata, file_name, labels_of, count)) in enumerate(BENCHMARKS.items()):
        chosen = {}
        for entry in jukemir.entries(metadata, splits):
            for label in labels_of(entry) if entry.split else ():
                group = chosen.setdefault((entry.split, label), [])
                if len(group) < count:
                    group.append(entry)
        entries = {entry.uid: entry for group in chosen.values() for entry in group}.values()
        for place, path in enumerate(sorted({file_name(entry) for entry in entries})):
            seconds = {"giantsteps": 31, "emomusic": 46}.get(name, 4)
            tone = synthetic_audio.sine(110 * 2 ** ((number + place) % 48 / 12), seconds)
            synthetic_audio.write(root / name / path, tone)
        tracks[name] = module.tracks(root / name, splits).tracks
    return tracks


BENCHMARKS = {
    # set: module, file of the split, path of a clip's audio, its labels, and clips to write of each label and split
    "magnatagatune": (
        magnatagatune,
        "magnatagatune",
        lambda entry: entry.text("extra", "mp3_path"),
        lambda entry: entry.texts("y"),
        1,
    ),
    "gtzan": (gtzan, "gtzan_ff", lambda entry: f"{entry.text('extra', 'id')}.wav", lambda entry: [entry.text("y")], 2),
    "giantsteps": (
        giantsteps,
        "giantsteps_clips",
        lambda entry: f"audio/{entry.text('clip', 'audio_uid')}.LOFI.mp3",
        lambda entry: [entry.text("y")] if entry.number("clip", "clip_offset") == 0 else [],
        1,
    ),
    "emomusic": (
        emomusic,
        "emomusic",
        lambda entry: f"clips_45seconds/{int(entry.uid)}.mp3",
        lambda entry: [entry.split],
        8,
    ),
}


def test_four_benchmark_sets_and_another_model_come_beside_table_1_in_three_commands(tmp_path, monkeypatch, capsys):
    splits = synthetic_splits.published()
    monkeypatch.chdir(tmp_path)
    tiny.write_run(tmp_path / "runs" / "first")
    tracks = _write_benchmark_audio(tmp_path / "data", splits)
    (tmp_path / "others").mkdir()
    for name, listed in tracks.items():
        vectors = np.random.default_rng(0).normal(size=(len(listed), 24)).astype(np.float32)
        synthetic_embeddings.write(tmp_path / "others" / f"{name}.clap.npz", [track.id for track in listed], vectors)

    _run(benchmark, *BENCHMARKS, "--root", "data", "--splits", splits, "--grid", "quick", "--features", "others")
    printed = capsys.readouterr().out
    _run(compare, *BENCHMARKS, "--run", "first", "--json")
    scores = json.loads(capsys.readouterr().out)["scores"]
    _run(search, "others/gtzan.clap.npz", tracks["gtzan"][0].id, "--count", 3, "--json")
    assert len(json.loads(capsys.readouterr().out)["matches"]) == 3

    assert "clap" in printed
    assert {task.split("/")[0].strip() for task in scores} == set(BENCHMARKS)
    pages = "".join(path.read_text() for path in (tmp_path / "reports").glob("*.html"))
    for row in ("Myna-Hybrid (22M)", "MERT-95M-public (95M)", "KeyMyna", "clap"):
        assert row in pages
