"""Metrics with weights. They compute a value for each row of weights, so that the bootstrap gets thousands at once.

Axes: W row of weights, N scored clip or song, C tag or number. All metrics agree with scikit-learn to 1e-9, also where
scores are equal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def macro_tags(scores: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return the macro ROC-AUC and the macro average precision, `[W, 2]`: means over the tags with a defined value.

    Args:
        scores: predicted scores, `[N, C]`. A higher score means a more likely tag.
        targets: 0 or 1, `[N, C]`.
        weights: weights that are not negative, `[W, N]`.
    """
    values = np.stack([tag_metrics(scores[:, tag], targets[:, tag], weights) for tag in range(scores.shape[1])])
    defined = np.isfinite(values)
    counts = defined.sum(0)
    total = np.where(defined, values, 0).sum(0)
    mean: Floats = np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)
    return mean


def tag_metrics(scores: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return the ROC-AUC and the average precision of one tag, `[W, 2]`.

    They are NaN if no clip with a weight above 0 has the tag, or if all of them have it. The average precision is the
    sum over thresholds of the gain in recall times the precision, without interpolation.

    Args:
        scores: predicted scores, `[N]`.
        targets: 0 or 1, `[N]`.
        weights: weights that are not negative, `[W, N]`.
    """
    order = np.argsort(-scores, kind="stable")
    # the last clip of each run of equal scores
    thresholds = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    sorted_weights = weights[:, order]
    true_positives = np.cumsum(sorted_weights * targets[order], axis=1)[:, thresholds]
    predicted = np.cumsum(sorted_weights, axis=1)[:, thresholds]
    false_positives, positives = predicted - true_positives, true_positives[:, -1:]
    negatives = false_positives[:, -1:]
    gain = np.diff(true_positives, prepend=0)
    width = np.diff(false_positives, prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = (width * (true_positives - gain / 2)).sum(1) / (positives * negatives)[:, 0]
        precision = np.divide(true_positives, predicted, out=np.zeros_like(true_positives), where=predicted > 0)
        average = (gain * precision).sum(1) / positives[:, 0]
    return np.stack([area, np.where(negatives[:, 0] > 0, average, np.nan)], axis=1)


def r2(predictions: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return the coefficient of determination of each column, `[W, C]`. It is NaN if the weighted targets are equal.

    Args:
        predictions: predicted numbers, `[N, C]`.
        targets: true numbers, `[N, C]`.
        weights: weights that are not negative, `[W, N]`.
    """
    centered = targets - targets.mean(0)
    residual = weights @ np.square(predictions - targets)
    total = weights @ np.square(centered) - np.square(weights @ centered) / weights.sum(1, keepdims=True)
    # for equal targets, the total is not exactly 0 but a rounding error
    constant = total <= 1e-12 * (weights @ np.square(centered))
    explained: Floats = 1 - np.divide(residual, total, out=np.full(residual.shape, np.nan), where=~constant)
    return explained
