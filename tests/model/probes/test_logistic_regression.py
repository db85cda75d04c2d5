"""Logistic regression: it separates classes, reads train only for fitting, and is chosen on validation alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny

from model.probes import few_shot
from model.probes.few_shot import fit_and_predict
from model.probes.task import Task, TaskSplit


def _task(**changed):
    return Task.of(tiny.separable(**changed), "key")


def _with_splits(task, **splits):
    return replace(task, splits={**task.splits, **splits})


def _changed(split, features=None, targets=None):
    features = split.features if features is None else features.astype(np.float32)
    return TaskSplit(features, split.targets if targets is None else targets, split.groups)


def test_separable_classes_are_separated():
    result = fit_and_predict(_task())
    assert result.test_accuracy == result.valid_accuracy == 1.0
    assert result.correct.all()
    np.testing.assert_array_equal(result.predictions, _task().splits["test"].targets)


def test_random_features_score_at_chance():
    rng = np.random.default_rng(0)
    splits = [("train", "valid", "test")[i % 3] for i in range(900)]
    labels = [f"{label}" for label in rng.integers(0, 3, 900)]
    result = fit_and_predict(Task.of(tiny.features(rng.normal(size=(900, 4)), labels, splits), "key"))
    assert 0.2 < result.test_accuracy < 0.47  # 1/3, standard deviation 0.027


def test_scale_and_offset_of_a_feature_do_not_matter():
    task = _task(noise=0.7)
    scale, offset = np.array([1e3, 1e-3, 1.0, 50.0]), np.array([5.0, -3.0, 0.0, 100.0])
    moved = replace(task, splits={k: _changed(p, p.features * scale + offset) for k, p in task.splits.items()})
    np.testing.assert_array_equal(fit_and_predict(moved).predictions, fit_and_predict(task).predictions)


def test_the_scaler_is_fitted_on_train_only():
    """Distant test clips would shrink all differences if the scaler were fitted on them, and change predictions."""
    task = _task(noise=0.4)
    test = task.splits["test"]
    distant = np.concatenate([test.features, 1e6 * np.ones((50, 4), np.float32)])
    more = TaskSplit(distant, np.concatenate([test.targets, np.zeros(50, np.int64)]), np.arange(len(distant)))
    result = fit_and_predict(_with_splits(task, test=more))
    np.testing.assert_array_equal(result.predictions[: len(test.targets)], fit_and_predict(task).predictions)
    assert result.inverse_l2 == fit_and_predict(task).inverse_l2
    # a scaler that is fitted on train and test gives other predictions
    all_clips = np.concatenate([task.splits["train"].features, distant]).astype(np.float64)
    mean, deviation = all_clips.mean(axis=0), all_clips.std(axis=0)
    fitted = few_shot._fit(task.splits["train"].features, task.splits["train"].targets, result.inverse_l2)
    leaked = fitted[-1].predict((test.features - mean) / deviation)
    assert (leaked != result.predictions[: len(test.targets)]).any()


def test_test_labels_do_not_influence_the_fit():
    task = _task(noise=0.7)
    test = task.splits["test"]
    other = fit_and_predict(_with_splits(task, test=_changed(test, targets=(test.targets + 1) % 3)))
    np.testing.assert_array_equal(other.predictions, fit_and_predict(task).predictions)
    assert other.inverse_l2 == fit_and_predict(task).inverse_l2
    assert not (other.correct * fit_and_predict(task).correct).any()


class Constant:
    """A model with a given number of correct predictions on valid and on test."""

    def __init__(self, valid_correct, test_correct):
        self.correct = {"valid": valid_correct, "test": test_correct}

    def predict(self, features):
        split = "valid" if features[0, 0] == 0 else "test"
        return np.array([0] * self.correct[split] + [1] * (len(features) - self.correct[split]))


@pytest.mark.parametrize(
    ("valid_correct", "test_correct", "chosen"),
    [
        ([1, 2, 5, 3, 4], [9, 9, 0, 9, 9], 2),
        ([4, 6, 6, 6, 2], [1, 2, 3, 4, 9], 1),
        ([0, 0, 0, 0, 9], [9, 9, 9, 9, 0], 4),
    ],
)
def test_validation_chooses_and_the_smaller_c_wins_a_tie(monkeypatch, valid_correct, test_correct, chosen):
    strengths = (0.1, 0.2, 0.3, 0.4, 0.5)
    places = iter(range(5))

    def fit(_features, _targets, strength):
        place = next(places)
        assert strength == strengths[place]
        return Constant(valid_correct[place], test_correct[place])

    monkeypatch.setattr(few_shot, "INVERSE_L2", strengths)
    monkeypatch.setattr(few_shot, "_fit", fit)
    zeros = np.zeros(10, np.int64)
    values = {"train": 0.0, "valid": 0.0, "test": 1.0}
    splits = {name: TaskSplit(np.full((10, 1), value, np.float32), zeros, zeros) for name, value in values.items()}
    result = fit_and_predict(Task("key", ("a", "b"), splits))
    assert result.inverse_l2 == strengths[chosen]
    assert result.valid_accuracy == valid_correct[chosen] / 10
    assert result.test_accuracy == test_correct[chosen] / 10


def test_the_same_task_gives_the_same_result():
    first, second = fit_and_predict(_task(noise=0.7)), fit_and_predict(_task(noise=0.7))
    np.testing.assert_array_equal(first.predictions, second.predictions)


def test_a_class_without_training_clips_is_never_predicted():
    task = _task()
    train = task.splits["train"]
    result = fit_and_predict(_with_splits(task, train=train.select(train.targets != 2)))
    assert set(result.predictions.tolist()) <= {0, 1}
    missing = task.splits["test"].targets == 2
    assert not result.correct[missing].any()
    assert result.correct[~missing].all()


def test_a_constant_feature_does_no_harm():
    task = _task()
    constant = {k: _changed(p, np.hstack([p.features, np.ones((len(p.features), 1))])) for k, p in task.splits.items()}
    assert fit_and_predict(replace(task, splits=constant)).test_accuracy == 1.0
