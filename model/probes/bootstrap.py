"""How sure a test score is: bootstrap over groups (pieces, songs), because clips of one piece fail together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A percentile interval."""

    low: float
    """2.5th percentile."""
    high: float
    """97.5th percentile."""


def interval(values: NDArray[np.float64], groups: NDArray[np.int64], seed: int = 0) -> Interval:
    """95 % interval of the mean of `values` when whole groups are drawn anew, as many as there are.

    Args:
        values: one per clip: 0 or 1 for right, or, paired, the difference of two representations on that clip.
        groups: group of each clip, numbered from 0.
        seed: of the draws.
    """
    count = int(groups.max()) + 1
    sums, sizes = np.bincount(groups, values, count), np.bincount(groups, minlength=count)
    # drawing `count` of `count` groups with replacement is one multinomial draw of how often each comes
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    means = (weights @ sums) / (weights @ sizes)
    tail = (1 - LEVEL) / 2
    return Interval(float(np.quantile(means, tail)), float(np.quantile(means, 1 - tail)))
