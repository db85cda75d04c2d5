"""The command `model.extract`: a store and an encoder become a feature store beside the others."""

from __future__ import annotations

import pytest
import tiny

from model import extract
from stores.features import FeatureStore


@pytest.fixture
def workplace(tmp_path, monkeypatch, make_store):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    make_store([100, 300, 0], "stores/made.zarr")
    tiny.write_run(tmp_path / "runs" / "first")
    return tmp_path


def test_the_features_lie_where_dataset_and_run_say(workplace, capsys):
    assert extract.main(["made"]) == 0
    features = FeatureStore.read(workplace / "stores" / "made.first.features.zarr")
    assert features.embeddings.shape == (2, 32)
    assert [row.id for row in features.rows] == ["clip-0", "clip-1"]
    printed = capsys.readouterr().out
    assert "encoder: runs/first/encoder.safetensors" in printed
    assert "stores/made.first.features.zarr: 2 embeddings of width 32" in printed


def test_a_checkpoint_can_be_named(workplace):
    tiny.write_run(workplace / "runs" / "second")
    assert extract.main(["made", "--checkpoint", "runs/first/encoder.safetensors"]) == 0
    assert (workplace / "stores" / "made.first.features.zarr").is_dir()
    assert not (workplace / "stores" / "made.second.features.zarr").exists()


def test_features_that_are_there_are_not_made_again(workplace, monkeypatch):
    assert extract.main(["made"]) == 0
    monkeypatch.setattr("model.inference.embedding.Embedding.embed", lambda *_: 1 / 0)
    assert extract.main(["made"]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none"], "no mel store at stores/none.zarr"),
        (["made", "--checkpoint", "runs/none.safetensors"], "no checkpoint at runs/none.safetensors"),
        (["a.b"], "name 'a.b' cannot be used"),
    ],
)
def test_what_is_not_there_is_an_error_of_one_line(workplace, capsys, arguments, told):
    assert extract.main(arguments) == 2
    assert told in capsys.readouterr().err


def test_without_a_finished_run_the_command_for_one_is_named(workplace, capsys):
    (workplace / "runs" / "first" / "encoder.safetensors").unlink()
    assert extract.main(["made"]) == 2
    assert "make one with `python -m model.train --store STORE`" in capsys.readouterr().err
