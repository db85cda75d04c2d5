"""How sure a test score is: bootstrap over groups (pieces, songs), because clips of one piece fail together.

As many groups as there are are drawn anew, with replacement; the same draws for everything with the same groups, so
that differences between representations are paired. Draws come in blocks, so the memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 10_000
LEVEL = 0.95
_BLOCK_WEIGHTS = 1 << 20  # weights of groups drawn at a time: 8 MB


@dataclass(frozen=True)
class Interval:
    """A percentile interval."""

    low: float
    """2.5th percentile."""
    high: float
    """97.5th percentile."""

    @classmethod
    def of(cls, draws: NDArray[np.float64]) -> Interval:
        """Of a score's values over all draws, `[draws]`; draws for which it is not defined are NaN, and left out."""
        tail = (1 - LEVEL) / 2
        return cls(float(np.nanquantile(draws, tail)), float(np.nanquantile(draws, 1 - tail)))


def weights(
    groups: int, draws: int = REPLICATES, seed: int = 0, block: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """How often each group comes in each draw, in blocks of draws `[block, groups]`.

    Args:
        groups: how many there are.
        draws: of as many groups, with replacement.
        seed: of the draws; what is drawn does not depend on `block`.
        block: most draws at a time; by default as many as take 8 MB.
    """
    rng, even = np.random.default_rng(seed), np.full(groups, 1 / groups)
    block = block or max(1, _BLOCK_WEIGHTS // groups)
    for start in range(0, draws, block):
        yield rng.multinomial(groups, even, size=min(block, draws - start))


def replicates(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]], groups: int, draws: int = REPLICATES, seed: int = 0
) -> NDArray[np.float64]:
    """Values `[draws, ...]` of a statistic that takes weights `[block, groups]` to values `[block, ...]`."""
    return np.concatenate([statistic(one) for one in weights(groups, draws, seed)])


def mean_replicates(values: NDArray[np.float64], groups: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """The mean of `values`, one per clip, over all draws `[draws]`; `groups` is the group of each clip, from 0."""
    count = int(groups.max()) + 1
    sums, sizes = np.bincount(groups, values, count), np.bincount(groups, minlength=count)
    return replicates(lambda drawn: (drawn @ sums) / (drawn @ sizes), count, seed=seed)


def interval(values: NDArray[np.float64], groups: NDArray[np.int64], seed: int = 0) -> Interval:
    """95 % interval of the mean of `values` when whole groups are drawn anew, as many as there are.

    Args:
        values: one per clip: 0 or 1 for right, or, paired, the difference of two representations on that clip.
        groups: group of each clip, numbered from 0.
        seed: of the draws.
    """
    return Interval.of(mean_replicates(values, groups, seed))
