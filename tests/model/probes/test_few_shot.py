"""Probes with few labels."""

from __future__ import annotations

import numpy as np
import pytest

from model.probes.few_shot import FewShot, probe
from model.probes.task import Task, TaskSplit
from stores.errors import InvalidInput


def _task(groups=12, clips=4, noise=2.0):
    """Two classes that overlap, `groups` of `clips` each in every split."""
    rng = np.random.default_rng(0)

    def split():
        numbers = np.repeat(np.arange(groups), clips)
        targets = numbers % 2
        features = targets[:, None] + noise * rng.standard_normal((len(numbers), 3))
        return TaskSplit(features.astype(np.float32), targets.astype(np.int64), numbers.astype(np.int64))

    return Task("made", ("a", "b"), {name: split() for name in ("train", "valid", "test")})


def test_several_draws_are_the_mean_of_single_ones():
    task = _task()
    single = [probe(task.with_train_groups(4, seed)) for seed in range(3)]
    found = FewShot(4, 3).probe(task)
    np.testing.assert_allclose(found.correct, np.mean([one.correct for one in single], axis=0))
    assert found.test_accuracy == pytest.approx(np.mean([one.test_accuracy for one in single]))
    assert len({tuple(one.correct) for one in single}) > 1


def test_all_groups_drawn_are_all_labels():
    task = _task()
    np.testing.assert_array_equal(FewShot(12, 1).probe(task).correct, probe(task).correct)


def test_no_draw_is_refused():
    with pytest.raises(InvalidInput, match="0 draws"):
        FewShot(4, 0)
