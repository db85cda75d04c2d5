"""The graph of `dags.benchmark`: which sets, with what their commands are told."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from dags import benchmark
from model import compare, extract, probe, report
from pipeline import ingest


@pytest.fixture
def told(tmp_path, monkeypatch):
    """What `pipeline.ingest` was told, a line per set; every command is stopped after it has read its words."""
    monkeypatch.chdir(tmp_path)
    tiny.write_run(tmp_path / "runs" / "first")
    lines = []
    monkeypatch.setattr(
        ingest, "_ingest", lambda options: lines.append((options.dataset, options.splits, options.root))
    )
    for module in (extract, probe, compare, report):
        monkeypatch.setattr(module, "exit_status", lambda _: 0)
    return lines


def test_splits_and_audio_that_lie_here_are_passed_on_to_ingest(told):
    assert benchmark.main(["gtzan", "emomusic", "--splits=-files", "--root=-audio"]) == 0
    assert told == [(name, Path("-files"), Path("-audio") / name) for name in ("gtzan", "emomusic")]


def test_without_them_ingest_looks_where_it_does(told):
    assert benchmark.main(["gtzan"]) == 0
    assert told == [("gtzan", None, None)]


@pytest.mark.parametrize("more", [[], ["--draw"]])
def test_what_is_no_benchmark_set_is_answered_with_those_there_are(told, capsys, more):
    assert benchmark.main(["nothing", "gtzan", *more]) == 2
    assert capsys.readouterr().err == (
        "error: nothing: no benchmark set; there are magnatagatune, gtzan, giantsteps, emomusic\n"
    )
    assert not told


def test_a_set_that_is_named_twice_is_done_once(told):
    assert benchmark.main(["gtzan", "gtzan"]) == 0
    assert len(told) == 1


def test_an_encoder_that_cannot_be_read_is_refused_before_anything_is_decoded(told, capsys):
    assert benchmark.main(["gtzan", "--checkpoint", "none.safetensors"]) == 2
    assert "no checkpoint at none.safetensors" in capsys.readouterr().err
    assert not told


def test_a_checkpoint_may_begin_with_a_dash(told, monkeypatch):
    Path("runs/first").rename("-first")
    monkeypatch.setattr(extract, "exit_status", lambda command: command() or 0)
    monkeypatch.setattr(extract, "_extract", lambda options: told.append(options.checkpoint))
    assert benchmark.main(["gtzan", "--checkpoint=-first/encoder.safetensors"]) == 0
    assert told[-1] == Path("-first/encoder.safetensors")
