"""The command `model.predict`: what a probe that was kept says of clips, and what it must not be asked."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import synthetic_embeddings
import tiny
import torch

from model import predict
from model.probes.evaluation.evaluate import evaluate
from model.probes.probe import Probe
from model.probes.results.predictions import predictions
from model.probes.results.winning_probe import keep
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.grid_search import GridSearch
from stores import feature_tables, locations
from stores.features import FeatureStore

ENCODER = {"encoder": {"run": "first"}, "representation": "first", "hop_frames": 96}
PLAIN = GridSearch(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def won():
    """Features, and what the search found on them."""
    known = tiny.separable(60, noise=0.05)
    store = FeatureStore(known.embeddings, known.rows, {"digest": "d", **ENCODER})
    return store, evaluate(store, "key", tiny.grid(patience=30), PLAIN)


@pytest.fixture
def workplace(tmp_path, monkeypatch, won):
    """Features `made` of the run `first`, and the probe that won on them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    store, found = won
    store.write(locations.feature_store("made", "first"))
    keep(tmp_path / "p.safetensors", found, store.provenance, {"dataset": "made"})
    keep(tmp_path / "mfcc.safetensors", found, {"digest": "d", "representation": "mfcc"}, {"dataset": "made"})
    return tmp_path, store


def _rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_data_set_is_predicted_clip_by_clip(workplace):
    folder, store = workplace
    assert predict.main(["made", "--probe", "p.safetensors"]) == 0
    rows = _rows(folder / "made.key.csv")
    assert [row["id"] for row in rows] == [row.id for row in store.rows]
    assert [row["prediction"] for row in rows] == [row.labels["key"] for row in store.rows]
    assert all(float(row["probability"]) == float(row[row["prediction"]]) > 0.5 for row in rows)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_embeddings_in_a_file_are_predicted_alike(workplace, suffix):
    folder, store = workplace
    synthetic_embeddings.write(folder / f"x{suffix}", [row.id for row in store.rows], store.embeddings)
    assert predict.main([f"x{suffix}", "--probe", "p.safetensors", "--out", "deep/x.parquet"]) == 0
    assert predict.main(["made", "--probe", "p.safetensors", "--out", "made.parquet"]) == 0
    assert pq.read_table("deep/x.parquet").equals(pq.read_table("made.parquet"))


@pytest.mark.parametrize("kind", feature_tables.KINDS)
@pytest.mark.parametrize(("run", "status"), [("first", 0), ("second", 2)])
def test_exported_embeddings_of_another_encoder_are_refused(workplace, capsys, kind, run, status):
    folder, store = workplace
    made = FeatureStore(store.embeddings, store.rows, {"digest": "x", **ENCODER, "encoder": {"run": run}})
    feature_tables.write(folder / f"x.{kind}", made, kind)
    assert predict.main([f"x.{kind}", "--probe", "p.safetensors"]) == status
    assert ("was made with another encoder" in capsys.readouterr().err) == bool(status)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["other", "--probe", "p.safetensors"], "model.extract other --checkpoint runs/first/encoder.safetensors"),
        (["other", "--probe", "mfcc.safetensors"], "reads mfcc, a baseline that only `model.probe other` makes"),
        (["music", "--probe", "p.safetensors"], "python -m dags.embed music --checkpoint runs/first/encoder.safet"),
        (["made", "--probe", "none.safetensors"], "no probe at none.safetensors"),
        (["made", "--probe", "p.safetensors", "--out", "x.pkl"], "must end in .csv or .parquet"),
        (["narrow.npz", "--probe", "p.safetensors"], "the probe reads embeddings of width 4; given are 3 numbers"),
        (["wide.npz", "--probe", "p.safetensors"], "the probe reads embeddings of width 4; given are 5 numbers"),
        (["stores/strange.zarr", "--probe", "p.safetensors"], "was made with another encoder"),
    ],
)
def test_what_cannot_be_predicted_is_an_error_of_one_line(workplace, capsys, arguments, told):
    folder, store = workplace
    (folder / "music").mkdir()
    for name, width in (("narrow", 3), ("wide", 5)):
        synthetic_embeddings.write(folder / f"{name}.npz", ["a"], np.ones((1, width), np.float32))
    strange = {"digest": "d", **ENCODER, "encoder": {"run": "second"}}
    FeatureStore(store.embeddings, store.rows, strange).write(folder / "stores" / "strange.zarr")
    assert predict.main(arguments) == 2
    assert told in capsys.readouterr().err


def _head(kind, classes, vote=""):
    """A probe whose outputs are the features."""
    count = len(classes)
    weights = MlpWeights((torch.eye(count)[None], torch.zeros(1, count)))
    facts = {"kind": kind, "classes": classes, "vote": vote, "columns": [0, count], "part": ""}
    return Probe(torch.zeros(count), torch.ones(count), weights, facts)


def test_tags_are_those_of_probability_one_half_or_more():
    outputs = np.array([[1, -1, 2], [-1, -1, -1]], np.float32)
    table = predictions(_head("tags", ["a", "b", "c"]), ["x", "y"], outputs, ["x", "y"])
    assert table["prediction"].to_pylist() == ["a|c", ""]
    np.testing.assert_allclose(table["b"].to_numpy(), 1 / (1 + np.exp([1, 1])), rtol=1e-6)


def test_numbers_are_given_as_they_are():
    outputs = np.array([[0.5, -2.0]], np.float32)
    table = predictions(_head("numbers", ["arousal", "valence"]), ["x"], outputs, ["x"])
    assert table.column_names == ["id", "arousal", "valence"]
    assert table["valence"].to_pylist() == [-2.0]


def test_clips_of_a_song_get_the_songs_key_by_the_probes_vote():
    outputs = np.array([[9, 0], [0, 1], [0, 1], [3, 0]], np.float32)
    songs = ["s", "s", "s", "t"]
    for vote, of_song in (("vote", "b"), ("max", "a")):
        table = predictions(_head("key", ["a", "b"], vote), list("wxyz"), outputs, songs)
        assert table["prediction"].to_pylist() == [of_song] * 3 + ["a"]
        shares = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
        np.testing.assert_allclose(table["a"].to_numpy()[:3], shares[:3, 0].mean(), rtol=1e-5)


def test_a_part_of_a_hybrids_embedding_is_read():
    head = _head("numbers", ["arousal", "valence"])
    head = replace(head, facts={**head.facts, "columns": [2, 4], "part": "vertical"})
    table = predictions(head, ["x"], np.array([[0, 1, 2, 3]], np.float32), ["x"])
    assert (table["arousal"].to_pylist(), table["valence"].to_pylist()) == ([2.0], [3.0])
