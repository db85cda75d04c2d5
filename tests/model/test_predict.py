"""The command `model.predict`: predictions of a winning probe, and inputs that it rejects."""

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
from model.probes.evaluation.evaluate import evaluate_representation
from model.probes.probe import Probe
from model.probes.results.predictions import prediction_table
from model.probes.results.winning_probe import write_winning_probe
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.grid_search import GridSearch
from stores import feature_tables, locations
from stores.features import FeatureStore

ENCODER = {"encoder": {"run": "first"}, "representation": "first", "hop_frames": 96}
PLAIN = GridSearch(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def search_result():
    """Features, and the result of the search on them."""
    separable = tiny.separable(60, noise=0.05)
    store = FeatureStore(separable.embeddings, separable.rows, {"digest": "d", **ENCODER})
    return store, evaluate_representation(store, "key", tiny.grid(patience=30), PLAIN)


@pytest.fixture
def workplace(tmp_path, monkeypatch, search_result):
    """A folder with the features `made` of the run `first`, and the winning probe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    store, result = search_result
    store.write(locations.feature_store("made", "first"))
    baseline = {"digest": "d", "representation": "mfcc"}
    write_winning_probe(tmp_path / "p.safetensors", result, store.provenance, {"dataset": "made"})
    write_winning_probe(tmp_path / "mfcc.safetensors", result, baseline, {"dataset": "made"})
    return tmp_path, store


def _rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_every_clip_of_a_dataset_gets_a_prediction(workplace):
    folder, store = workplace
    assert predict.main(["made", "--probe", "p.safetensors"]) == 0
    rows = _rows(folder / "made.key.csv")
    assert [row["id"] for row in rows] == [row.id for row in store.rows]
    assert [row["prediction"] for row in rows] == [row.labels["key"] for row in store.rows]
    assert all(float(row["probability"]) == float(row[row["prediction"]]) > 0.5 for row in rows)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_embeddings_in_a_file_give_the_same_predictions(workplace, suffix):
    folder, store = workplace
    synthetic_embeddings.write(folder / f"x{suffix}", [row.id for row in store.rows], store.embeddings)
    assert predict.main([f"x{suffix}", "--probe", "p.safetensors", "--out", "deep/x.parquet"]) == 0
    assert predict.main(["made", "--probe", "p.safetensors", "--out", "made.parquet"]) == 0
    assert pq.read_table("deep/x.parquet").equals(pq.read_table("made.parquet"))


@pytest.mark.parametrize("kind", feature_tables.KINDS)
@pytest.mark.parametrize(("run", "status"), [("first", 0), ("second", 2)])
def test_exported_embeddings_of_another_encoder_are_an_error(workplace, capsys, kind, run, status):
    folder, store = workplace
    features = FeatureStore(store.embeddings, store.rows, {"digest": "x", **ENCODER, "encoder": {"run": run}})
    feature_tables.write(folder / f"x.{kind}", features, kind)
    assert predict.main([f"x.{kind}", "--probe", "p.safetensors"]) == status
    assert ("was made with another encoder" in capsys.readouterr().err) == bool(status)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["other", "--probe", "p.safetensors"], "model.extract other --checkpoint runs/first/encoder.safetensors"),
        (["other", "--probe", "mfcc.safetensors"], "reads mfcc, a baseline that only `model.probe other` makes"),
        (["music", "--probe", "p.safetensors"], "python -m dags.embed music --checkpoint runs/first/encoder.safet"),
        (["made", "--probe", "none.safetensors"], "no probe at none.safetensors"),
        (["made", "--probe", "p.safetensors", "--out", "x.pkl"], "--out must end in .csv or .parquet (got x.pkl)"),
        (
            ["narrow.npz", "--probe", "p.safetensors"],
            "have width 3, but the probe was trained on embeddings of width 4",
        ),
        (
            ["wide.npz", "--probe", "p.safetensors"],
            "have width 5, but the probe was trained on embeddings of width 4",
        ),
        (["stores/other-encoder.zarr", "--probe", "p.safetensors"], "was made with another encoder"),
    ],
)
def test_inputs_that_cannot_be_used_are_an_error_with_a_message(workplace, capsys, arguments, message):
    folder, store = workplace
    (folder / "music").mkdir()
    for name, width in (("narrow", 3), ("wide", 5)):
        synthetic_embeddings.write(folder / f"{name}.npz", ["a"], np.ones((1, width), np.float32))
    provenance = {"digest": "d", **ENCODER, "encoder": {"run": "second"}}
    FeatureStore(store.embeddings, store.rows, provenance).write(folder / "stores" / "other-encoder.zarr")
    assert predict.main(arguments) == 2
    assert message in capsys.readouterr().err


def _identity_probe(kind, classes, vote=""):
    """Return a probe whose outputs are its features."""
    count = len(classes)
    weights = MlpWeights((torch.eye(count)[None], torch.zeros(1, count)))
    metadata = {"kind": kind, "classes": classes, "vote": vote, "columns": [0, count], "part": ""}
    return Probe(torch.zeros(count), torch.ones(count), weights, metadata)


def test_tags_with_a_probability_of_at_least_one_half_are_predicted():
    outputs = np.array([[1, -1, 2], [-1, -1, -1]], np.float32)
    table = prediction_table(_identity_probe("tags", ["a", "b", "c"]), ["x", "y"], outputs, ["x", "y"])
    assert table["prediction"].to_pylist() == ["a|c", ""]
    np.testing.assert_allclose(table["b"].to_numpy(), 1 / (1 + np.exp([1, 1])), rtol=1e-6)


def test_numbers_are_the_outputs():
    outputs = np.array([[0.5, -2.0]], np.float32)
    table = prediction_table(_identity_probe("numbers", ["arousal", "valence"]), ["x"], outputs, ["x"])
    assert table.column_names == ["id", "arousal", "valence"]
    assert table["valence"].to_pylist() == [-2.0]


def test_clips_of_a_song_get_the_key_of_the_song_by_the_probes_aggregation():
    outputs = np.array([[9, 0], [0, 1], [0, 1], [3, 0]], np.float32)
    songs = ["s", "s", "s", "t"]
    for vote, of_song in (("vote", "b"), ("max", "a")):
        table = prediction_table(_identity_probe("key", ["a", "b"], vote), list("wxyz"), outputs, songs)
        assert table["prediction"].to_pylist() == [of_song] * 3 + ["a"]
        probabilities = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
        np.testing.assert_allclose(table["a"].to_numpy()[:3], probabilities[:3, 0].mean(), rtol=1e-5)


def test_a_vote_that_ties_goes_to_the_first_key_in_the_list_of_jukemir():
    probe = _identity_probe("key", ["A minor", "D major"], "vote")
    table = prediction_table(probe, list("wx"), np.eye(2, dtype=np.float32), ["s", "s"])
    assert table["prediction"].to_pylist() == ["D major"] * 2


def test_a_probe_of_a_hybrid_slice_reads_its_columns_of_the_embedding():
    probe = _identity_probe("numbers", ["arousal", "valence"])
    probe = replace(probe, metadata={**probe.metadata, "columns": [2, 4], "part": "vertical"})
    table = prediction_table(probe, ["x"], np.array([[0, 1, 2, 3]], np.float32), ["x"])
    assert (table["arousal"].to_pylist(), table["valence"].to_pylist()) == ([2.0], [3.0])
