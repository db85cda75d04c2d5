"""`dags.train_key`: its steps, and the whole workflow on a few pieces of the demo corpus."""

from __future__ import annotations

import json

import pytest
import synthetic_audio
import tiny
from synthetic_audio import write_text

from dags import train_key
from dags.config import TrainKeySettings
from dags.workflows.train_key import steps
from model.probes.probe import Probe
from pipeline.datasets import giantsteps_key, giantsteps_mtg


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MYNA_DATA", str(tmp_path / "data"))
    tiny.write_run(tmp_path / "runs" / "first")
    return tmp_path


def _words(settings, workplace):
    chain = steps(settings, workplace / "runs" / "first" / "encoder.safetensors")
    return {step.name: " ".join(step.arguments) for step in chain}


def test_both_giantsteps_sets_are_ingested_with_copies_and_extracted(workplace):
    words = _words(TrainKeySettings(data="giantsteps", root=workplace / "audio"), workplace)
    assert list(words) == [
        *("ingest-giantsteps_mtg", "extract-giantsteps_mtg", "ingest-giantsteps_key", "extract-giantsteps_key")
    ]
    assert words["ingest-giantsteps_mtg"] == (
        "giantsteps_mtg --store stores/giantsteps_mtg_12.zarr --transpose 12 --transpose-all "
        f"--root {workplace}/audio/giantsteps_mtg"
    )
    assert words["ingest-giantsteps_key"].startswith("giantsteps_key --store stores/giantsteps_key_12.zarr")
    assert "--out stores/giantsteps_key_12.first.features.zarr" in words["extract-giantsteps_key"]


def test_the_demo_corpus_is_used_as_written_and_transposed(workplace):
    words = _words(TrainKeySettings(data="demo", clips=24, workers=1), workplace)
    assert words["ingest-demo"] == (
        "demo --store stores/demo_12.zarr --transpose 12 --transpose-all --clips 24 --as-written --workers 1"
    )


def test_the_graph_is_drawn_and_widths_are_checked(workplace, capsys):
    assert train_key.main(["demo", "--draw"]) == 0
    assert "ingest-demo --> extract-demo" in capsys.readouterr().out
    assert train_key.main(["demo", "--head", "wide"]) == 2
    assert "--head takes widths such as 2048 or 4096,4096" in capsys.readouterr().err


def _write_giantsteps(folder):
    """Write miniatures of both repositories, with a chord progression as the audio of each preview."""
    names = {f"{number}": ("C major", "A minor")[number % 2] for number in range(1000, 1014)}
    mtg, key = folder / "giantsteps_mtg", folder / "giantsteps_key"
    rows = [f"{number}\t{label}\t2\n" for number, label in names.items()]
    write_text(mtg / giantsteps_mtg.ANNOTATIONS, "ID\tMANUAL KEY\tC\n" + "".join([*rows, "1014\tC major\t1\n"]))
    artists = [f"{number}\tArtist {number}\n" for number in (*names, "1014")]
    write_text(mtg / giantsteps_mtg.METADATA, "ID\tARTIST\n" + "".join(artists))
    for number in (*names, "1014"):
        write_text(mtg / giantsteps_mtg.DIGESTS / f"{number}.LOFI.md5", f"{number}\n")
        synthetic_audio.write(mtg / "audio" / f"{number}.LOFI.wav", synthetic_audio.chords(4.0, seed=int(number)))
    for number in range(1, 5):
        write_text(key / giantsteps_key.ANNOTATIONS / f"{number}.LOFI.key", ("C major", "A minor")[number % 2])
        # the last preview is also one of GiantSteps-MTG
        seed = 1000 if number == 4 else number
        synthetic_audio.write(key / "audio" / f"{number}.LOFI.wav", synthetic_audio.chords(4.0, seed=seed))


@pytest.mark.slow
def test_giantsteps_gives_scores_on_whole_previews_and_counts_what_is_left_out(workplace, capsys):
    _write_giantsteps(workplace / "audio")
    words = ["giantsteps", "--root", str(workplace / "audio"), "--head", "8", "--workers", "2"]
    assert train_key.main(words) == 0
    printed = capsys.readouterr().out
    assert "1 previews without one certain key and 0 copies of other previews are left out" in printed
    scores = json.loads((workplace / "reports" / "keys-giantsteps.json").read_text())
    assert scores["clips"]["test"] == 4
    assert scores["clips"]["train"] + scores["clips"]["valid"] == 13
    assert scores["clips"]["left out, because test has the same audio"] == 1


@pytest.mark.slow
def test_the_demo_corpus_gives_scores_and_a_probe(workplace, capsys):
    assert train_key.main(["demo", "--clips", "72", "--head", "32", "--workers", "2"]) == 0
    scores = json.loads((workplace / "reports" / "keys-demo.json").read_text())
    assert [len(row) for row in scores["steps"]] == [6] * 5
    assert scores["clips"]["transposed copies of train"] == 11 * scores["clips"]["train"]
    assert "ahead of the first" in capsys.readouterr().out
    probe = Probe.read(workplace / "runs/first/probes/demo_12.key.recipe.safetensors")
    assert len(probe.metadata["classes"]) == 24
