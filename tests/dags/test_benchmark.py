"""The graph of `dags.benchmark`: the sets, and the arguments of their commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from dags import benchmark
from model import compare, extract, probe, report
from pipeline.ingestion import ingest
from pipeline.ingestion.config import MelSettings
from stores.mel_spec import MelSpec


@pytest.fixture
def ingested(tmp_path, monkeypatch):
    """The settings of every ingest. All other commands are stopped before they parse their arguments."""
    monkeypatch.chdir(tmp_path)
    tiny.write_run(tmp_path / "runs" / "first")
    settings = []
    monkeypatch.setattr(ingest, "ingest", settings.append)
    for module in (extract, probe, compare, report):
        monkeypatch.setattr(module, "run_command", lambda *_: 0)
    return settings


def test_local_splits_and_audio_are_passed_on_to_ingest(ingested):
    assert benchmark.main(["gtzan", "emomusic", "--splits=-files", "--root=-audio"]) == 0
    assert [(one.dataset, one.benchmark.splits, one.root) for one in ingested] == [
        (name, Path("-files"), f"-audio/{name}") for name in ("gtzan", "emomusic")
    ]


def test_without_a_root_ingest_uses_its_default(ingested):
    assert benchmark.main(["gtzan"]) == 0
    assert [(one.dataset, one.benchmark.splits, one.root) for one in ingested] == [("gtzan", None, None)]


def test_the_sets_are_ingested_with_the_mel_of_the_encoder(ingested, tmp_path):
    mel = {"mel_spec": replace(MelSpec(), hop_samples=160).to_dict()}
    tiny.write_run(tmp_path / "runs" / "fine", tiny.train_config(mel=mel))
    assert benchmark.main(["gtzan", "--checkpoint", "fine"]) == 0
    assert benchmark.main(["gtzan", "--checkpoint", "first"]) == 0
    assert [one.mel for one in ingested] == [MelSettings(hop_samples=160), MelSettings()]


@pytest.mark.parametrize("more", [[], ["--draw"]])
def test_an_unknown_set_is_an_error_that_lists_the_known_ones(ingested, capsys, more):
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["nothing", "gtzan", *more])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert all(name in message for name in ("nothing", "magnatagatune", "gtzan", "giantsteps", "emomusic"))
    assert not ingested


def test_a_set_that_is_named_twice_is_ingested_once(ingested):
    assert benchmark.main(["gtzan", "gtzan"]) == 0
    assert len(ingested) == 1


def test_an_encoder_that_cannot_be_read_is_rejected_before_anything_is_decoded(ingested, capsys):
    assert benchmark.main(["gtzan", "--checkpoint", "none.safetensors"]) == 2
    assert "no checkpoint at none.safetensors" in capsys.readouterr().err
    assert not ingested


def test_a_checkpoint_may_begin_with_a_dash(ingested, monkeypatch):
    Path("runs/first").rename("-first")
    words = []
    monkeypatch.setattr(extract, "main", lambda arguments: words.append(arguments) or 0)
    assert benchmark.main(["gtzan", "--checkpoint=-first/encoder.safetensors"]) == 0
    assert words == [("gtzan", "--checkpoint=-first/encoder.safetensors")]


def test_embeddings_of_other_models_are_scored_on_their_dataset(ingested, tmp_path, monkeypatch, capsys):
    for name in ("gtzan.mule.npz", "gtzan.clap.parquet", "emomusic.mule.npz", "gtzan.txt"):
        (tmp_path / name).write_bytes(b"")
    words = []
    monkeypatch.setattr(probe, "run_command", lambda kind, arguments, *_: words.append(list(arguments)) or 0)
    assert benchmark.main(["gtzan", "emomusic", "--features", "."]) == 0
    features = [[word for word in command if word.startswith("--features")] for command in words]
    assert features == [
        ["--features=gtzan.clap.parquet", "--features=gtzan.mule.npz"],
        ["--features=emomusic.mule.npz"],
    ]
    assert benchmark.main(["giantsteps", "--features", "."]) == 2
    assert ". has no embeddings of giantsteps; name them giantsteps.MODEL.npz or .parquet" in capsys.readouterr().err


def test_the_page_of_the_encoder_that_ships_has_its_name(ingested, monkeypatch):
    Path("runs").rename("other")
    words = []
    for module in (compare, report):
        monkeypatch.setattr(module, "main", lambda arguments: words.append(arguments) or 0)
    assert benchmark.main(["gtzan"]) == 0
    assert words == [("gtzan", "--run=myna-tiny-open")] * 2
