"""The answer for a recording is that of the probe's own vote, with the distance to the training clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.probes.probe import Probe
from model.probes.recording_answer import answer
from model.probes.results.predictions import prediction_table
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training_reference import UNLIKE, TrainingReference
from stores.errors import InvalidInput

CLASSES = ["a", "b", "c"]
WINDOWS = np.array([[9, 0, 0], [0, 2, 1.9], [0, 2, 1.9], [0, 0, 0.1]], np.float32)


def _probe(kind="classes", vote="", pool="mean", classes=CLASSES, reference=None):
    """Return a probe whose outputs are its three features."""
    weights = MlpWeights((torch.eye(3)[None], torch.zeros(1, 3)))
    metadata = {"task": "t", "kind": kind, "classes": classes, "vote": vote, "part": "", "columns": [0, 3]}
    metadata |= {"features": {"pool": pool}, "calibration": {"temperature": 2.0}}
    return Probe(torch.zeros(3), torch.ones(3), weights, metadata, reference)


def _softmax(outputs):
    exponents = np.exp(outputs / 2 - (outputs / 2).max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def test_a_probe_of_means_reads_the_mean_of_the_windows():
    whole, windows = answer(_probe(), WINDOWS)
    expected = _softmax(WINDOWS.mean(axis=0))
    assert whole.prediction == "a"
    np.testing.assert_allclose(list(whole.values.values()), expected, atol=1e-6)
    assert [window.prediction for window in windows] == ["a", "b", "b", "c"]
    np.testing.assert_allclose(list(windows[1].values.values()), _softmax(WINDOWS[1]), atol=1e-6)


@pytest.mark.parametrize(("vote", "prediction"), [("vote", "b"), ("max", "a"), ("gmean", "a"), ("mean", "a")])
def test_a_probe_of_windows_answers_by_its_own_vote(vote, prediction):
    probe = _probe(vote=vote, pool="none")
    whole, windows = answer(probe, WINDOWS)
    assert whole.prediction == prediction
    np.testing.assert_allclose(list(whole.values.values()), _softmax(WINDOWS).mean(axis=0), atol=1e-6)
    ids = [str(i) for i in range(4)]
    assert prediction_table(probe, ids, WINDOWS, ["song"] * 4).column("prediction").to_pylist() == [prediction] * 4
    assert len(windows) == 4


def test_tags_and_numbers_of_windows_are_averaged():
    tags, _ = answer(_probe("tags", pool="none"), WINDOWS)
    expected = (1 / (1 + np.exp(-WINDOWS.astype(np.float64) / 2))).mean(axis=0)
    np.testing.assert_allclose(list(tags.values.values()), expected, atol=1e-6)
    assert tags.prediction == "a|b|c"
    numbers, windows = answer(_probe("numbers", pool="none"), WINDOWS)
    np.testing.assert_allclose(list(numbers.values.values()), WINDOWS.mean(axis=0), atol=1e-6)
    assert numbers.prediction is None
    assert windows[0].values["a"] == 9


def test_classes_may_be_called_like_columns_of_a_table():
    whole, _ = answer(_probe(classes=["prediction", "id", "remark"]), WINDOWS)
    assert set(whole.values) == {"prediction", "id", "remark"}
    assert whole.prediction == "prediction"


@pytest.mark.parametrize("pool", ["mean", "none"])
def test_a_recording_unlike_all_training_clips_is_named(pool):
    rng = np.random.default_rng(0)
    reference = TrainingReference.of(*(rng.normal(size=(50, 3)).astype(np.float32) for _ in range(2)))
    probe = _probe(pool=pool, reference=reference)
    near, _ = answer(probe, np.zeros((4, 3), np.float32))
    assert (near.remark, near.distance_percentile < 60) == ("", True)
    far, windows = answer(probe, np.full((4, 3), 50, np.float32))
    assert (far.remark, far.distance_percentile) == (UNLIKE, 100.0)
    assert {window.remark for window in windows} == {UNLIKE}


def test_a_probe_without_training_embeddings_states_no_distance():
    whole, _ = answer(_probe(), WINDOWS)
    assert (whole.distance_percentile, whole.remark) == (None, "")


def test_embeddings_of_another_width_are_an_error():
    with pytest.raises(InvalidInput, match="the embeddings have width 4, but the probe was trained on"):
        answer(_probe(), np.zeros((1, 4), np.float32))
