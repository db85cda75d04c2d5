"""Confidence intervals by the bootstrap over groups (pieces or songs), because errors within a group are correlated.

A bootstrap replicate resamples the groups with replacement, as many as there are. Everything with the same groups gets
the same replicates, so differences between representations are paired. Replicates are computed in blocks, so the
memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 10_000
LEVEL = 0.95
_BLOCK_WEIGHTS = 1 << 20  # 8 MB of group weights in a block


@dataclass(frozen=True)
class Interval:
    """A percentile interval."""

    low: float
    """2.5th percentile."""
    high: float
    """97.5th percentile."""

    @classmethod
    def of(cls, replicates: NDArray[np.float64]) -> Interval:
        """Return the interval of a score's bootstrap replicates, `[replicates]`.

        NaN, which stands for a replicate on which the score is not defined, is left out.
        """
        tail = (1 - LEVEL) / 2
        return cls(float(np.nanquantile(replicates, tail)), float(np.nanquantile(replicates, 1 - tail)))

    def including(self, value: float) -> Interval:
        """Return the interval, extended to `value`, which a percentile interval over few groups can leave out."""
        return Interval(min(self.low, value), max(self.high, value))


def replicate_weights(
    groups: int, count: int = REPLICATES, seed: int = 0, block: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """Yield how often each group occurs in each replicate, in blocks of replicates `[block, groups]`.

    Args:
        groups: number of groups.
        count: number of replicates.
        seed: seed of the replicates, which do not depend on `block`.
        block: maximum number of replicates in a block (default: as many as take 8 MB).
    """
    rng, even = np.random.default_rng(seed), np.full(groups, 1 / groups)
    block = block or max(1, _BLOCK_WEIGHTS // groups)
    for start in range(0, count, block):
        yield rng.multinomial(groups, even, size=min(block, count - start))


def replicates(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]], groups: int, count: int = REPLICATES, seed: int = 0
) -> NDArray[np.float64]:
    """Return the replicates of a statistic, `[count, ...]`.

    Args:
        statistic: function from group weights `[block, groups]` to values `[block, ...]`.
        groups: number of groups.
        count: number of replicates.
        seed: seed of the replicates.
    """
    return np.concatenate([statistic(weights) for weights in replicate_weights(groups, count, seed)])


def mean_replicates(values: NDArray[np.float64], groups: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """Return the replicates of the mean of `values`, `[replicates]`.

    Args:
        values: one per clip.
        groups: group of each clip, numbered from 0.
        seed: seed of the replicates.
    """
    count = int(groups.max()) + 1
    sums, sizes = np.bincount(groups, values, count), np.bincount(groups, minlength=count)
    return replicates(lambda weights: (weights @ sums) / (weights @ sizes), count, seed=seed)


def confidence_interval(values: NDArray[np.float64], groups: NDArray[np.int64], seed: int = 0) -> Interval:
    """Return the 95 % confidence interval of the mean of `values`, by the bootstrap over groups.

    Args:
        values: one per clip: 1 or 0 for a correct or wrong prediction, or the difference of two representations.
        groups: group of each clip, numbered from 0.
        seed: seed of the replicates.
    """
    return Interval.of(mean_replicates(values, groups, seed))
