"""Label subsets: a share of the training clips that keeps the balance of the labels, for the label efficiency.

Whole groups (pieces or songs) are chosen by iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011). Each
round takes the label that the fewest remaining groups have, and chooses among these groups until the subset has enough
of the label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.probes.task import Task

SHARES = {"classes": (0.1, 0.25), "key": (0.1, 0.25), "tags": (0.01, 0.1, 0.25), "numbers": (0.1, 0.25)}
"""Shares of the training clips by kind of task. All training clips are evaluated as well."""
_BINS = 5  # numbers are binned, because they have no classes to balance


def label_subset(task: Task, share: float, seed: int) -> NDArray[np.int64]:
    """Return the indices of about `share` of the training clips, of each label and in all, in order.

    Args:
        task: task with the training clips.
        share: share of the training clips, between 0 and 1.
        seed: seed of the choice.

    Returns:
        Indices of training clips, `[chosen]`.
    """
    train = task.splits["train"]
    count = int(train.groups.max()) + 1
    labels = _labels(task)
    label_counts = np.stack([np.bincount(train.groups, column, count) for column in labels.T], axis=1)
    sizes = np.bincount(train.groups, minlength=count)
    groups = _stratified_groups(np.column_stack([label_counts, sizes]), share, np.random.default_rng(seed))
    return np.flatnonzero(np.isin(train.groups, groups))


def _labels(task: Task) -> NDArray[np.float64]:
    """Return the labels to be balanced, 0 or 1, `[clips, labels]`."""
    targets = task.target_matrix("train").astype(np.float64)
    if task.kind != "numbers":
        return targets
    edges = [np.quantile(column, np.linspace(0, 1, _BINS + 1)[1:-1]) for column in targets.T]
    bins = [np.searchsorted(edge, column) for edge, column in zip(edges, targets.T, strict=True)]
    return np.concatenate([np.eye(_BINS)[column] for column in bins], axis=1)


def _stratified_groups(label_counts: NDArray[np.float64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the groups of a stratified subset.

    Args:
        label_counts: clips of each group with each label, `[groups, labels]`. All clips have the last label.
        share: share of the clips.
        rng: source of the order in which groups are considered.
    """
    total = share * label_counts.sum(0)
    missing = total
    remaining, chosen = rng.permutation(len(label_counts)), []
    while len(remaining):
        groups_with_label = (label_counts[remaining] > 0).sum(0)
        label = int(np.where(groups_with_label > 0, groups_with_label, len(label_counts) + 1).argmin())
        candidates = remaining[label_counts[remaining, label] > 0]
        for group in candidates:
            # take a group if at least half of its clips are missing, and always the first one of a label
            if missing[label] >= label_counts[group, label] / 2 or missing[label] == total[label]:
                chosen.append(group)
                missing = missing - label_counts[group]
        remaining = remaining[~np.isin(remaining, candidates)]
    return np.array(sorted(chosen), np.int64)
