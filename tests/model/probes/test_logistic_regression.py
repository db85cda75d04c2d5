"""The linear probe: it finds what is there, looks at nothing it must not, and validation alone chooses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny

from model.probes import few_shot
from model.probes.few_shot import probe
from model.probes.task import Task, TaskSplit


def _task(**changed):
    return Task.of(tiny.separable(**changed), "key")


def _with(task, **splits):
    return replace(task, splits={**task.splits, **splits})


def _changed(part, features=None, targets=None):
    features = part.features if features is None else features.astype(np.float32)
    return TaskSplit(features, part.targets if targets is None else targets, part.groups)


def test_classes_that_can_be_separated_are():
    result = probe(_task())
    assert result.test_accuracy == result.valid_accuracy == 1.0
    assert result.correct.all()
    np.testing.assert_array_equal(result.predictions, _task().splits["test"].targets)


def test_features_without_meaning_are_worth_a_guess():
    rng = np.random.default_rng(0)
    splits = [("train", "valid", "test")[i % 3] for i in range(900)]
    labels = [f"{label}" for label in rng.integers(0, 3, 900)]
    result = probe(Task.of(tiny.features(rng.normal(size=(900, 4)), labels, splits), "key"))
    assert 0.2 < result.test_accuracy < 0.47  # 1/3, standard deviation 0.027


def test_the_scale_and_the_place_of_a_feature_do_not_matter():
    task = _task(noise=0.7)
    scale, place = np.array([1e3, 1e-3, 1.0, 50.0]), np.array([5.0, -3.0, 0.0, 100.0])
    moved = replace(task, splits={k: _changed(p, p.features * scale + place) for k, p in task.splits.items()})
    np.testing.assert_array_equal(probe(moved).predictions, probe(task).predictions)


def test_the_scaler_sees_train_only():
    """Test clips far off would shrink every difference if the scaler saw them, and predictions would turn."""
    task = _task(noise=0.4)
    test = task.splits["test"]
    far = np.concatenate([test.features, 1e6 * np.ones((50, 4), np.float32)])
    more = TaskSplit(far, np.concatenate([test.targets, np.zeros(50, np.int64)]), np.arange(len(far)))
    leaking = probe(_with(task, test=more))
    np.testing.assert_array_equal(leaking.predictions[: len(test.targets)], probe(task).predictions)
    assert leaking.inverse_l2 == probe(task).inverse_l2
    # and it would have changed the result: the same scaler fitted on all of them gives other predictions
    everything = np.concatenate([task.splits["train"].features, far]).astype(np.float64)
    mean, deviation = everything.mean(axis=0), everything.std(axis=0)
    fitted = few_shot._fit(task.splits["train"].features, task.splits["train"].targets, leaking.inverse_l2)
    leaked = fitted[-1].predict((test.features - mean) / deviation)
    assert (leaked != leaking.predictions[: len(test.targets)]).any()


def test_test_labels_have_no_say():
    task = _task(noise=0.7)
    test = task.splits["test"]
    other = probe(_with(task, test=_changed(test, targets=(test.targets + 1) % 3)))
    np.testing.assert_array_equal(other.predictions, probe(task).predictions)
    assert other.inverse_l2 == probe(task).inverse_l2
    assert not (other.correct * probe(task).correct).any()


class Constant:
    """A model that is as good as it is told to be on valid, and opposite on test."""

    def __init__(self, valid_right, test_right):
        self.right = {"valid": valid_right, "test": test_right}

    def predict(self, features):
        split = "valid" if features[0, 0] == 0 else "test"
        return np.array([0] * self.right[split] + [1] * (len(features) - self.right[split]))


@pytest.mark.parametrize(
    ("valid_right", "test_right", "chosen"),
    [
        ([1, 2, 5, 3, 4], [9, 9, 0, 9, 9], 2),
        ([4, 6, 6, 6, 2], [1, 2, 3, 4, 9], 1),
        ([0, 0, 0, 0, 9], [9, 9, 9, 9, 0], 4),
    ],
)
def test_validation_chooses_and_the_smaller_c_wins_a_tie(monkeypatch, valid_right, test_right, chosen):
    strengths = (0.1, 0.2, 0.3, 0.4, 0.5)
    made = iter(range(5))

    def fit(_features, _targets, strength):
        place = next(made)
        assert strength == strengths[place]
        return Constant(valid_right[place], test_right[place])

    monkeypatch.setattr(few_shot, "INVERSE_L2", strengths)
    monkeypatch.setattr(few_shot, "_fit", fit)
    zeros = np.zeros(10, np.int64)
    parts = {"train": 0.0, "valid": 0.0, "test": 1.0}
    splits = {name: TaskSplit(np.full((10, 1), value, np.float32), zeros, zeros) for name, value in parts.items()}
    result = probe(Task("key", ("a", "b"), splits))
    assert result.inverse_l2 == strengths[chosen]
    assert result.valid_accuracy == valid_right[chosen] / 10
    assert result.test_accuracy == test_right[chosen] / 10


def test_the_same_task_gives_the_same_result():
    first, second = probe(_task(noise=0.7)), probe(_task(noise=0.7))
    np.testing.assert_array_equal(first.predictions, second.predictions)


def test_a_class_that_train_lacks_is_missed_and_does_no_harm():
    task = _task()
    train = task.splits["train"]
    known = train.targets != 2
    result = probe(_with(task, train=TaskSplit(train.features[known], train.targets[known], train.groups[known])))
    assert set(result.predictions.tolist()) <= {0, 1}
    unknown = task.splits["test"].targets == 2
    assert not result.correct[unknown].any()
    assert result.correct[~unknown].all()


def test_a_feature_that_never_changes_does_no_harm():
    task = _task()
    constant = {k: _changed(p, np.hstack([p.features, np.ones((len(p.features), 1))])) for k, p in task.splits.items()}
    assert probe(replace(task, splits=constant)).test_accuracy == 1.0
