"""The nearest neighbours of each mapped clip, in the embedding, not on the plane.

Clips of one piece are mostly one another's nearest: transpositions, excerpts, other renderings. What the listed
neighbours tell is what the encoder finds alike beyond that, so they are of other pieces; how many of the very nearest
are of the same piece is counted beside them. Takes 4 bytes for each pair of clips: 36 MB for 3,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COUNT = 5


@dataclass(frozen=True)
class Neighbors:
    """The neighbours of each clip, the nearest first."""

    clips: tuple[tuple[int, ...], ...]
    """At most `COUNT` clips of other groups, each; fewer where there are not as many."""
    cosines: tuple[tuple[float, ...], ...]
    """Their cosines, -1 to 1."""
    same_group: tuple[int, ...]
    """How many of the `COUNT` nearest of all are of the clip's own group."""

    @classmethod
    def of(cls, embeddings: NDArray[np.float32], groups: Sequence[str], count: int = COUNT) -> Neighbors:
        """Find them by cosine.

        Args:
            embeddings: `[clips, D]` of length 1.
            groups: piece, song or artist of each clip; a clip whose group is empty is of no other's.
            count: neighbours of each.
        """
        numbers = _numbered(groups)
        cosines = embeddings @ embeddings.T
        found = [_of_one(clip, cosines[clip], numbers == numbers[clip], count) for clip in range(len(groups))]
        clips = tuple(tuple(int(one) for one in others) for others, _ in found)
        of_clips = tuple(tuple(float(cosines[clip, one]) for one in others) for clip, others in enumerate(clips))
        return cls(clips, of_clips, tuple(same for _, same in found))


def _of_one(
    clip: int, cosines: NDArray[np.float32], same: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.int64], int]:
    """The nearest clips of other groups, and how many of the nearest of all are of the same one."""
    order = np.argsort(-cosines, kind="stable")  # of equals the first, so that a page made twice is the same
    order = order[order != clip]
    return order[~same[order]][:count], int(same[order[:count]].sum())


def _numbered(groups: Sequence[str]) -> NDArray[np.int64]:
    """A number for each group; clips without one get one of their own."""
    names = [group or f"\0{clip}" for clip, group in enumerate(groups)]
    place = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([place[name] for name in names], np.int64)
