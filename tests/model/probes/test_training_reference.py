"""The distance to the training embeddings: a percentile of the validation clips, and words for what is unlike all."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from model.probes.evaluation.evaluate import find_winning_probe
from model.probes.probe import Probe
from model.probes.results.predictions import prediction_table
from model.probes.results.winning_probe import write_winning_probe
from model.probes.training.grid_search import GridSearch
from model.probes.training_reference import MAX_CLIPS, UNLIKE, TrainingReference
from stores import safetensors_header
from stores.errors import CorruptArtifact


def _features(clips, width=6, seed=0):
    return np.random.default_rng(seed).normal(3, 2, size=(clips, width)).astype(np.float32)


def test_distances_are_those_of_plain_loops():
    train, valid, other = (_features(count, seed=seed) for seed, count in enumerate((40, 20, 10)))
    reference = TrainingReference.of(train, valid)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    expected = [min(np.linalg.norm((row - each) / deviation) for each in train) for row in other]
    np.testing.assert_allclose(reference.distances(other), expected, rtol=1e-4)
    np.testing.assert_allclose(reference.mean, mean, rtol=1e-5)


def test_the_percentile_is_the_share_of_validation_clips_that_are_nearer():
    train, valid = _features(200), _features(400, seed=1)
    reference = TrainingReference.of(train, valid)
    distances = reference.distances(valid)
    percentiles = reference.columns(valid)["distance_percentile"]
    shares = [100 * (distances < distance).mean() for distance in distances]
    np.testing.assert_allclose(percentiles, shares, atol=1.5)


def test_what_is_unlike_all_training_clips_is_said_in_words():
    reference = TrainingReference.of(_features(200), _features(100, seed=1))
    alike, unlike = _features(1), _features(1) + 40
    columns = reference.columns(np.concatenate([alike, unlike]))
    assert columns["remark"] == ["", UNLIKE]
    assert columns["distance_percentile"].tolist() == [0, 100]


def test_a_feature_that_is_constant_in_training_makes_no_nan():
    train = _features(30)
    train[:, 0] = 1.0
    columns = TrainingReference.of(train, train).columns(train)
    assert np.isfinite(columns["distance_percentile"]).all()


def test_at_most_so_many_clips_are_stored():
    assert len(TrainingReference.of(_features(2_000), _features(50, seed=1)).embeddings) == MAX_CLIPS
    assert len(TrainingReference.of(_features(3), _features(2, seed=1)).embeddings) == 3


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """The file of a winning probe, and the features that it was trained on."""
    features, path = tiny.separable(90), tmp_path_factory.mktemp("probe") / "p.safetensors"
    search = GridSearch(torch.device("cpu"), torch.float32)
    result = find_winning_probe(features, "key", tiny.grid(), search)
    write_winning_probe(path, result, features.provenance, {"dataset": "made"})
    return path, features


def test_predictions_have_the_percentile_and_the_remark(probe):
    path, features = probe
    embeddings = np.concatenate([features.embeddings[:2], 50 + features.embeddings[:1]])
    table = prediction_table(Probe.read(path), ["a", "b", "c"], embeddings, ["a", "b", "c"])
    assert table.column_names[-2:] == ["distance_percentile", "remark"]
    assert table["remark"].to_pylist() == ["", "", UNLIKE]


def _write_changed(source, target, change):
    header, tensors = safetensors_header.read(source).metadata, load_file(source)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, target, dict(header))


def test_probes_of_earlier_versions_are_read_and_predict_without_distances(probe, tmp_path):
    path, features = probe

    def remove(tensors):
        for name in [name for name in tensors if name.startswith("reference.")]:
            del tensors[name]

    _write_changed(path, tmp_path / "old.safetensors", remove)
    old = Probe.read(tmp_path / "old.safetensors")
    assert old.reference is None
    assert "remark" not in prediction_table(old, ["a"], features.embeddings[:1], ["a"]).column_names


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("reference.mean"),
        lambda tensors: tensors.update({"reference.mean": torch.zeros(9)}),
        lambda tensors: tensors.update({"reference.deviation": torch.zeros(4)}),
        lambda tensors: tensors.update({"reference.quantiles": torch.zeros(3)}),
        lambda tensors: tensors.update({"reference.quantiles": -torch.arange(101.0)}),
        lambda tensors: tensors.update({"reference.embeddings": torch.zeros(0, 4)}),
        lambda tensors: tensors.update({"reference.embeddings": torch.zeros(MAX_CLIPS + 1, 4)}),
        lambda tensors: tensors.update({"reference.embeddings": torch.full((3, 4), torch.nan)}),
        lambda tensors: tensors.update({"reference.embeddings": torch.zeros(3, 4, dtype=torch.float64)}),
    ],
)
def test_a_reference_that_does_not_fit_is_rejected(probe, tmp_path, change):
    _write_changed(probe[0], tmp_path / "wrong.safetensors", change)
    with pytest.raises(CorruptArtifact, match="is not a probe that this version reads: its training"):
        Probe.read(tmp_path / "wrong.safetensors")
