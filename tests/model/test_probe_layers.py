"""`--layer` of `model.probe`: a curve over all blocks, fused layers, and the commands that read the scores."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tiny
from small_stores import store_maker

from model import compare, extract, predict, probe, report
from model.inference import representations
from model.page import formats
from model.page import layers as layers_section
from model.probes.config import GRIDS
from model.probes.probe import Probe
from model.probes.results.layer_scores import LayerScores
from stores import locations
from stores.errors import CorruptArtifact
from stores.mel_store import MelStore

CLIPS = 24
WORDS = ["made", "--checkpoint", "runs/deep"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a folder with a run of three blocks and the features of all its layers."""
    folder = tmp_path_factory.mktemp("layers")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        (folder / "stores").mkdir()
        splits = [("train", "valid", "test")[i % 3] for i in range(CLIPS)]
        store = store_maker(folder)([96] * CLIPS, "stores/made.zarr", splits=splits)
        labeled = [replace(row, labels={"key": f"key-{i % 2}"}) for i, row in enumerate(store.rows)]
        store.update(labeled)
        config = tiny.train_config(encoder=tiny.encoder_config("hybrid", depth=3))
        tiny.write_run(folder / "runs" / "deep", config)
        (folder / "runs" / "deep" / "config.json").write_text(json.dumps({**config.to_dict(), "store": "made"}))
        (folder / "runs" / "deep" / "metrics.jsonl").write_text("")
        assert extract.main([*WORDS, "--layer", "all"]) == 0
    return folder


@pytest.fixture
def workplace(built, tmp_path, monkeypatch):
    shutil.copytree(built, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    monkeypatch.setitem(GRIDS, "quick", tiny.grid())
    chroma = np.random.default_rng(0).random((CLIPS, 12), np.float32)
    monkeypatch.setitem(representations._FUNCTIONS, "mean-chroma", lambda _store, _rows: chroma)
    return tmp_path / "w"


def _scores():
    return LayerScores.read(locations.layer_scores("deep", "made", "key"))


def test_every_block_and_their_mean_are_scored(workplace, capsys):
    assert probe.main([*WORDS, "--layer", "all"]) == 0
    assert [row.layer for row in _scores().rows] == [1, 2, 3, "mean"]
    assert {row.part for row in _scores().rows} <= {"concatenated", "square", "vertical"}
    assert "made / key: layers of deep, 8 train, 8 valid, 8 test" in capsys.readouterr().out
    assert not (workplace / "runs" / "deep" / "scores").exists()


def test_a_range_is_added_to_the_scores_of_the_same_encoder(workplace):
    assert probe.main([*WORDS, "--layer", "2"]) == 0
    assert probe.main([*WORDS, "--layer", "1-2"]) == 0
    assert [row.layer for row in _scores().rows] == [2, "1-2"]


def test_a_learned_mixture_is_scored_beside_the_curve_and_predicts(workplace):
    assert probe.main([*WORDS, "--layer", "all"]) == 0
    assert probe.main([*WORDS, "--layer", "mix"]) == 0
    assert [row.layer for row in _scores().rows] == [1, 2, 3, "mean", "mix"]
    assert _scores().rows[-1].width == 3 * _scores().rows[0].width or _scores().rows[0].part
    path = workplace / "runs/deep/probes/made.key.layers-mix.safetensors"
    mixture = Probe.read(path)
    assert sum(mixture.metadata["mix"].values()) == pytest.approx(1)
    assert list(mixture.metadata["mix"]) == ["1", "2", "3"]
    assert predict.main(["made", "--probe", str(path), "--out", "keys.csv"]) == 0
    with (workplace / "keys.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == CLIPS


def test_a_mixture_cannot_be_extracted(workplace, capsys):
    assert extract.main([*WORDS, "--layer", "mix"]) == 2
    assert "--layer mix is learned by model.probe; extract all layers with --layer all" in capsys.readouterr().err


def test_a_layer_scores_the_same_from_its_own_features(workplace):
    assert probe.main([*WORDS, "--layer", "2"]) == 0
    from_all = _scores()
    assert extract.main([*WORDS, "--layer", "2"]) == 0
    assert probe.main([*WORDS, "--layer", "2"]) == 0
    assert _scores() == from_all


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layer", "4"], "--layer must be a block of the encoder, 1 to 3 (got 4)"),
        (["--layer", "x"], "--layer must be a block such as 6"),
        (["--layer", "all", "--train-groups", "2"], "leave out --features and --train-groups"),
        (["--layer", "all", "--features", "x.npz"], "leave out --features and --train-groups"),
    ],
)
def test_layers_that_cannot_be_scored_are_an_error(workplace, capsys, words, message):
    assert probe.main([*WORDS, *words]) == 2
    assert message in capsys.readouterr().err


def test_missing_or_foreign_features_are_an_error_with_the_command(workplace, capsys):
    tiny.write_run(workplace / "runs" / "deep", tiny.train_config(encoder=tiny.encoder_config("hybrid"), seed=9))
    assert probe.main([*WORDS, "--layer", "all"]) == 2
    assert "was made with another encoder; run `python -m model.extract made" in capsys.readouterr().err
    (workplace / "stores" / "made.deep-layers.features.zarr").rename(workplace / "gone")
    assert probe.main([*WORDS, "--layer", "all"]) == 2
    error = capsys.readouterr().err
    assert "no features at stores/made.deep-layers.features.zarr" in error
    assert "--layer all`" in error


def test_a_probe_of_a_layer_predicts_from_features_of_all_layers_and_of_its_own(workplace, capsys):
    assert probe.main([*WORDS, "--layer", "all"]) == 0
    file = "runs/deep/probes/made.key.layer2.safetensors"
    assert predict.main(["made", "--probe", file, "--out", "all.csv"]) == 0
    assert extract.main([*WORDS, "--layer", "2"]) == 0
    assert predict.main(["made", "--probe", file, "--out", "own.csv"]) == 0
    assert (workplace / "all.csv").read_bytes() == (workplace / "own.csv").read_bytes()
    fused = "runs/deep/probes/made.key.layers-mean.safetensors"
    assert predict.main(["made", "--probe", fused, "--out", "mean.csv"]) == 0
    capsys.readouterr()
    assert predict.main(["other", "--probe", file]) == 2
    assert "model.extract other --checkpoint runs/deep/encoder.safetensors --layer 2`" in capsys.readouterr().err


@pytest.mark.slow
def test_page_exports_and_compare_show_the_layers(workplace, capsys):
    assert extract.main(WORDS) == 0
    assert probe.main(WORDS) == 0
    assert probe.main([*WORDS, "--layer", "all"]) == 0
    assert report.main(["--run", "deep"]) == 0
    (page,) = (workplace / "reports").glob("*.html")
    assert "layers-made-key" in page.read_text()
    assert (page.with_suffix(".figures") / "layers-made-key.svg").is_file()
    rows = list(csv.DictReader(page.with_suffix(".csv").read_text().splitlines()))
    layers = [row["representation"] for row in rows if row["representation"].startswith("layer ")]
    assert layers == ["layer 1", "layer 2", "layer 3", "layer mean"]
    assert len(json.loads(page.with_suffix(".json").read_text())["layers"][0]["rows"]) == 4
    capsys.readouterr()
    assert compare.main(["--run", "deep"]) == 0
    assert f"made/key: best layer on validation {_scores().best.layer} of 4 scored" in capsys.readouterr().out


@pytest.mark.slow
def test_scores_of_layers_with_other_labels_are_reported(workplace, capsys):
    assert extract.main(WORDS) == 0
    assert probe.main([*WORDS, "--layer", "all"]) == 0
    store = MelStore.open(workplace / "stores" / "made.zarr")
    store.update([replace(row, labels={"key": f"key-{row.index // 3 % 2}"}) for row in store.rows])
    assert probe.main(WORDS) == 0
    capsys.readouterr()
    assert compare.main(["--run", "deep"]) == 0
    assert "scores of other labels than the current ones; run `python -m model.probe made" in capsys.readouterr().out
    assert report.main(["--run", "deep"]) == 2
    assert "the scores of layers on key belong to other labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(format_version=9), "has format version 9"),
        (lambda content: content.update(task="x"), "unlike its name|states others"),
        (lambda content: content["rows"].append(content["rows"][0]), "two scores of one layer"),
        (lambda content: content["rows"][0].update(value=7.0), "does not fit its interval"),
        (lambda content: content.update(rows=[]), "rows"),
        (lambda content: content["rows"][0].update(layer=[1]), "layer"),
    ],
)
def test_a_file_with_other_scores_is_rejected(tmp_path, change, message):
    row = {"layer": 1, "width": 4, "part": "", "valid": 0.5, "value": 0.5, "low": 0.4, "high": 0.6}
    names = {"dataset": "made", "run": "deep", "task": "key", "metric": "accuracy", "grid": "quick"}
    content = {"format_version": 1, **names, "probes": 1, "clips": {}, "features": "", "labels": "", "rows": [row]}
    path = tmp_path / "made.key.json"
    path.write_text(json.dumps(content))
    scores = LayerScores.read(path)
    assert layers_section.table(scores).rows[0].cells == ("1", formats.MISSING, "0.500", "0.500 (0.400 to 0.600)")
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptArtifact, match=message):
        LayerScores.read(path)
