"""Few-shot evaluation: the mean over draws of training groups."""

from __future__ import annotations

import numpy as np
import pytest

from model.probes.few_shot import FewShotEvaluation, fit_and_predict
from model.probes.task import Task, TaskSplit
from stores.errors import InvalidInput


def _task(groups=12, clips=4, noise=2.0):
    """A task with two classes that overlap, and `groups` groups of `clips` clips in every split."""
    rng = np.random.default_rng(0)

    def split():
        clip_groups = np.repeat(np.arange(groups), clips)
        targets = clip_groups % 2
        features = targets[:, None] + noise * rng.standard_normal((len(clip_groups), 3))
        return TaskSplit(features.astype(np.float32), targets.astype(np.int64), clip_groups.astype(np.int64))

    return Task("made", ("a", "b"), {name: split() for name in ("train", "valid", "test")})


def test_the_result_is_the_mean_over_the_draws():
    task = _task()
    draws = [fit_and_predict(task.with_train_groups(4, seed)) for seed in range(3)]
    result = FewShotEvaluation(4, 3).evaluate(task)
    np.testing.assert_allclose(result.correct, np.mean([draw.correct for draw in draws], axis=0))
    assert result.test_accuracy == pytest.approx(np.mean([draw.test_accuracy for draw in draws]))
    assert len({tuple(draw.correct) for draw in draws}) > 1


def test_drawing_all_groups_uses_all_labels():
    task = _task()
    np.testing.assert_array_equal(FewShotEvaluation(12, 1).evaluate(task).correct, fit_and_predict(task).correct)


def test_zero_draws_are_an_error():
    with pytest.raises(InvalidInput, match=r"--draws must be at least 1 \(got 0\)"):
        FewShotEvaluation(4, 0)
