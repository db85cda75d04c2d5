"""A share of the training clips that keeps the balance of the labels: what label efficiency is measured with.

Whole groups are taken (pieces, songs), by iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011): again and
again the label that fewest of the groups left carry, and for each of them whether the share still lacks it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.probes.task import Task

SHARES = {"classes": (0.1, 0.25), "key": (0.1, 0.25), "tags": (0.01, 0.1, 0.25), "numbers": (0.1, 0.25)}
"""Shares of the training clips, by kind of task, besides all of them."""
_BINS = 5  # of numbers, which have no classes to balance


def share_of(task: Task, share: float, seed: int) -> NDArray[np.int64]:
    """Training clips that are about `share` of all, and of those of each label; indices, in order.

    Args:
        task: whose training clips.
        share: between 0 and 1.
        seed: of the choice.
    """
    train = task.splits["train"]
    count = int(train.groups.max()) + 1
    labels = _labels(task)
    carried = np.stack([np.bincount(train.groups, column, count) for column in labels.T], axis=1)
    sizes = np.bincount(train.groups, minlength=count)
    taken = _stratified(np.column_stack([carried, sizes]), share, np.random.default_rng(seed))
    return np.flatnonzero(np.isin(train.groups, taken))


def _labels(task: Task) -> NDArray[np.float64]:
    """What is to be balanced: 0 or 1 `[clips, labels]`."""
    targets = task.matrix("train").astype(np.float64)
    if task.kind != "numbers":
        return targets
    edges = [np.quantile(column, np.linspace(0, 1, _BINS + 1)[1:-1]) for column in targets.T]
    bins = [np.searchsorted(edge, column) for edge, column in zip(edges, targets.T, strict=True)]
    return np.concatenate([np.eye(_BINS)[one] for one in bins], axis=1)


def _stratified(carried: NDArray[np.float64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Groups to take, of clips that carry each label `[groups, labels]`; the last label is one that all carry."""
    whole = share * carried.sum(0)
    wanted = whole
    left, taken = rng.permutation(len(carried)), []
    while len(left):
        carriers = (carried[left] > 0).sum(0)
        label = int(np.where(carriers > 0, carriers, len(carried) + 1).argmin())
        holders = left[carried[left, label] > 0]
        for group in holders:
            # at least half of what it brings is lacking; and no label is left out altogether
            if wanted[label] >= carried[group, label] / 2 or wanted[label] == whole[label]:
                taken.append(group)
                wanted = wanted - carried[group]
        left = left[~np.isin(left, holders)]
    return np.array(sorted(taken), np.int64)
