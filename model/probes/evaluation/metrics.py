"""Metrics with weights: one value for each row of weights, so that a bootstrap draws thousands at once.

Axes: W row of weights, N scored clip or song, C tag or number. All agree with scikit-learn to 1e-9, ties included.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def macro_tags(scores: Floats, targets: Floats, weights: Floats) -> Floats:
    """Macro ROC-AUC and macro average precision, `[W, 2]`: means over the tags for which they are defined.

    Args:
        scores: `[N, C]`, the more the likelier.
        targets: 0 or 1, `[N, C]`.
        weights: `[W, N]`, not negative.
    """
    each = [tag_metrics(scores[:, tag], targets[:, tag], weights) for tag in range(scores.shape[1])]
    values, defined = np.stack(each), np.isfinite(np.stack(each))
    counts = defined.sum(0)
    total = np.where(defined, values, 0).sum(0)
    mean: Floats = np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)
    return mean


def tag_metrics(scores: Floats, targets: Floats, weights: Floats) -> Floats:
    """ROC-AUC and average precision of one tag, `[W, 2]`; NaN where no or every clip of weight carries it.

    Average precision is the sum over thresholds of the gain in recall times the precision there, without
    interpolation.

    Args:
        scores: `[N]`.
        targets: 0 or 1, `[N]`.
        weights: `[W, N]`.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last of each run of equal scores
    sorted_weights = weights[:, order]
    true = np.cumsum(sorted_weights * targets[order], axis=1)[:, ends]
    every = np.cumsum(sorted_weights, axis=1)[:, ends]
    false, positives = every - true, true[:, -1:]
    negatives = false[:, -1:]
    gained, height = np.diff(true, prepend=0), np.diff(false, prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = (height * (true - gained / 2)).sum(1) / (positives * negatives)[:, 0]
        precision = np.divide(true, every, out=np.zeros_like(true), where=every > 0)
        average = (gained * precision).sum(1) / positives[:, 0]
    return np.stack([area, np.where(negatives[:, 0] > 0, average, np.nan)], axis=1)


def r2(predictions: Floats, targets: Floats, weights: Floats) -> Floats:
    """Coefficient of determination of each column, `[W, C]`; NaN where the targets of weight do not differ.

    Args:
        predictions: `[N, C]`.
        targets: `[N, C]`.
        weights: `[W, N]`.
    """
    centred = targets - targets.mean(0)
    wrong = weights @ np.square(predictions - targets)
    spread = weights @ np.square(centred) - np.square(weights @ centred) / weights.sum(1, keepdims=True)
    # what remains of targets that are all alike is rounding
    alike = spread <= 1e-12 * (weights @ np.square(centred))
    explained: Floats = 1 - np.divide(wrong, spread, out=np.full(wrong.shape, np.nan), where=~alike)
    return explained
