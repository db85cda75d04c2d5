"""The command `model.predict`: predictions of a winning probe, and inputs that it rejects."""

from __future__ import annotations

import csv
import json
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
from model.probes.results.predictions import PredictionFile, prediction_table
from model.probes.results.winning_probe import write_winning_probe
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.grid_search import GridSearch
from stores import feature_tables, locations
from stores.features import FeatureStore, Spans
from stores.mel_spec import MelSpec

ENCODER = {
    "encoder": {"run": "first", "patches": "vertical"},
    "representation": "first",
    "weights": "digest of the weights",
    "hop_frames": 96,
    "window_frames": 96,
    "tail": "right",
    "pool": "mean",
    "engine": {"name": "eager", "layer": None},
    "mel": {"mel_spec": {"n_mels": 128}, "quantizer": {"kind": "log10-uint8"}},
}
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


def test_json_counts_the_predicted_labels(workplace, capsys):
    folder, store = workplace
    assert predict.main(["made", "--probe", "p.safetensors", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["predictions"], result["task"], result["clips"]) == ("made.key.csv", "key", len(store.rows))
    assert sum(result["labels"].values()) == len(store.rows)
    unlike = sum(row["remark"] != "" for row in _rows(folder / "made.key.csv"))
    assert result["unlike_training_clips"] == unlike


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_embeddings_in_a_file_give_the_same_predictions(workplace, suffix):
    folder, store = workplace
    synthetic_embeddings.write(folder / f"x{suffix}", [row.id for row in store.rows], store.embeddings)
    assert predict.main([f"x{suffix}", "--probe", "p.safetensors", "--out", "deep/x.parquet"]) == 0
    assert predict.main(["made", "--probe", "p.safetensors", "--out", "made.parquet"]) == 0
    assert pq.read_table("deep/x.parquet").equals(pq.read_table("made.parquet"))


@pytest.mark.parametrize("kind", ["parquet", "npz"])
@pytest.mark.parametrize(("run", "status"), [("first", 0), ("second", 2)])
def test_exported_embeddings_of_another_encoder_are_an_error(workplace, capsys, kind, run, status):
    folder, store = workplace
    provenance = {"digest": "x", **ENCODER, "weights": ENCODER["weights"] if run == "first" else "others"}
    features = FeatureStore(store.embeddings, store.rows, provenance)
    feature_tables.write(folder / f"x.{kind}", features, kind)
    assert predict.main([f"x.{kind}", "--probe", "p.safetensors"]) == status
    assert ("was made with another weights" in capsys.readouterr().err) == bool(status)


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
    provenance = {"digest": "d", "encoder": {"run": "second"}}
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


DIFFERENCES = {
    "weights": {"weights": "others"},
    "layer": {"engine": {"name": "eager", "layer": 3}},
    "patches": {"encoder": {"run": "first", "patches": "square"}},
    "pool": {"pool": "none"},
    "window_frames": {"window_frames": 192},
    "hop_frames": {"hop_frames": 48},
    "tail": {"tail": "drop"},
    "mel": {"mel": {"mel_spec": {"n_mels": 96}}},
}


@pytest.mark.parametrize("key", DIFFERENCES)
def test_features_that_were_made_otherwise_are_an_error_that_names_the_difference(workplace, capsys, key):
    folder, store = workplace
    replace(store, provenance={**store.provenance, **DIFFERENCES[key]}).write(folder / "x.zarr")
    assert predict.main(["x.zarr", "--probe", "p.safetensors"]) == 2
    assert f"x.zarr was made with another {key} than the features that the probe" in capsys.readouterr().err
    assert not list(folder.glob("*.csv"))


def test_all_differences_are_named_in_one_error(workplace, capsys):
    folder, store = workplace
    provenance = {**store.provenance, "tail": "drop", "hop_frames": 48, "weights": "others"}
    replace(store, provenance=provenance).write(folder / "x.zarr")
    assert predict.main(["x.zarr", "--probe", "p.safetensors"]) == 2
    error = capsys.readouterr().err
    assert "another weights and hop_frames and tail" in error
    assert "hop_frames: 48, the probe needs 96; tail: drop, the probe needs right" in error


def test_features_of_a_baseline_are_not_taken_for_those_of_an_encoder(workplace, capsys):
    folder, store = workplace
    replace(store, provenance={"digest": "d", "representation": "mfcc"}).write(folder / "x.zarr")
    assert predict.main(["x.zarr", "--probe", "p.safetensors"]) == 2
    assert "representation: mfcc, the probe needs an encoder" in capsys.readouterr().err


def test_the_same_weights_under_another_name_and_quantizer_are_accepted(workplace, capsys):
    folder, store = workplace
    mel = {"mel_spec": {"n_mels": 128}, "quantizer": {"kind": "float32"}}
    changed = {"encoder": {"published": "copy", "patches": "vertical"}, "representation": "copy", "mel": mel}
    replace(store, provenance={**store.provenance, **changed}).write(folder / "x.zarr")
    assert predict.main(["x.zarr", "--probe", "p.safetensors"]) == 0
    assert "note: x.zarr was made from mels with another quantizer" in capsys.readouterr().err


def test_embeddings_that_do_not_say_how_they_were_made_are_taken_with_a_note(workplace, capsys):
    folder, store = workplace
    synthetic_embeddings.write(folder / "x.npz", [row.id for row in store.rows], store.embeddings)
    assert predict.main(["x.npz", "--probe", "p.safetensors"]) == 0
    assert "note: x.npz does not say how its embeddings were made" in capsys.readouterr().err


def _with_metadata(path, **changed):
    """Write the probe again with other metadata, as a hostile file."""
    probe = Probe.read(path)
    replace(probe, metadata={**probe.metadata, **changed}).write(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"task": "../../EVIL"},
        {"task": "/EVIL"},
        {"task": None},
        {"task": 3},
        {"vote": "lottery"},
        {"vote": None},
        {"columns": None},
        {"columns": [0, None]},
        {"columns": [0, 2**40]},
        {"columns": [0, 3]},
        {"columns": [-4, 0]},
        {"kind": "magic"},
        {"kind": []},
        {"part": "left"},
        {"classes": "abc"},
        {"classes": ["a", "a", "b"]},
        {"features": None},
    ],
    ids=str,
)
def test_a_probe_of_nonsense_is_one_line_and_writes_nothing(workplace, capsys, changed):
    folder, _ = workplace
    _with_metadata(folder / "p.safetensors", **changed)
    before = sorted(folder.parent.rglob("*EVIL*"))
    assert predict.main(["made", "--probe", "p.safetensors"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "p.safetensors is not a probe that this version reads" in error
    assert sorted(folder.parent.rglob("*EVIL*")) == before
    assert not list(folder.glob("*.csv"))


def test_the_same_probe_gives_the_same_bytes(workplace):
    folder, _ = workplace
    probe = Probe.read(folder / "p.safetensors")
    for name in ("a", "b"):
        probe.write(folder / f"{name}.safetensors")
    content = (folder / "a.safetensors").read_bytes()
    assert content == (folder / "b.safetensors").read_bytes()
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    assert header.index(b'"facts"') < header.index(b'"format"')  # the order of the package changes from run to run


def test_ids_that_spreadsheets_would_run_are_text_in_the_csv(tmp_path):
    probe = _identity_probe("tags", ["=A1", "b"])
    table = prediction_table(probe, ["=cmd()", "@x", "-1.5"], np.array([[1, -1]] * 3, np.float32), list("xyz"))
    PredictionFile(tmp_path / "x.csv").write(table)
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines[0] == "id,prediction,'=A1,b"
    assert [line.split(",")[0] for line in lines[1:]] == ["'=cmd()", "'@x", "-1.5"]
    assert lines[1].split(",")[1] == "'=A1"


def test_predictions_for_windows_state_their_times(workplace, search_result):
    folder, store = workplace
    clips = np.repeat(np.arange(len(store.rows) // 2), 2)
    spans = Spans(clips, np.tile([0.0, 3.072], len(clips) // 2), np.ones(len(clips), int), np.zeros(len(clips), bool))
    rows = [replace(store.rows[int(clip)], frames=150) for clip in clips]
    provenance = {**store.provenance, "pool": "none", "mel": {"mel_spec": MelSpec().to_dict()}}
    FeatureStore(store.embeddings[: len(rows)], rows, provenance, spans).write(folder / "windows.zarr")
    write_winning_probe(folder / "w.safetensors", search_result[1], provenance, {"dataset": "made"})
    assert predict.main(["windows.zarr", "--probe", "w.safetensors", "--out", "w.csv"]) == 0
    first, second = _rows(folder / "w.csv")[:2]
    assert first["id"] == second["id"]
    assert (first["start_seconds"], first["end_seconds"]) == ("0", "3.072")
    assert (second["start_seconds"], second["end_seconds"]) == ("3.072", "4.8")
