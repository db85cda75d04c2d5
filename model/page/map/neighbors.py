"""The nearest neighbors of each clip on the map, by cosine in the embedding and not on the plane.

The nearest clips mostly belong to the same piece: transpositions, excerpts, other renderings. The listed neighbors are
clips of other pieces, which shows what else the encoder considers similar. How many of the nearest clips of all belong
to the same piece is counted beside the list. The cosines take 4 bytes per pair of clips, 36 MB for 3,000 clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COUNT = 5
"""Neighbors of each clip."""


@dataclass(frozen=True)
class Neighbors:
    """The neighbors of each clip, the nearest first."""

    clips: tuple[tuple[int, ...], ...]
    """At most `COUNT` clips of other groups for each clip, or fewer if there are not as many."""
    cosines: tuple[tuple[float, ...], ...]
    """Cosines of the neighbors, from -1 to 1."""
    same_group: tuple[int, ...]
    """How many of the `COUNT` nearest clips of all belong to the clip's own group."""

    @classmethod
    def compute(cls, embeddings: NDArray[np.float32], groups: Sequence[str], count: int = COUNT) -> Neighbors:
        """Compute the neighbors of all clips.

        Args:
            embeddings: `[clips, D]` of length 1.
            groups: piece, song or artist of each clip. A clip with an empty group is in a group of its own.
            count: neighbors of each clip.
        """
        group_indices = _group_indices(groups)
        cosines = embeddings @ embeddings.T
        nearest = [
            _nearest(clip, cosines[clip], group_indices == group_indices[clip], count) for clip in range(len(groups))
        ]
        clips = tuple(tuple(int(other) for other in others) for others, _ in nearest)
        of_neighbors = tuple(
            tuple(float(cosines[clip, other]) for other in others) for clip, others in enumerate(clips)
        )
        return cls(clips, of_neighbors, tuple(same for _, same in nearest))


def _nearest(
    clip: int, cosines: NDArray[np.float32], same_group: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.int64], int]:
    """Return the nearest clips of other groups, and how many of the nearest clips of all are in the same group."""
    order = np.argsort(-cosines, kind="stable")  # ties keep their order, so that the page is reproducible
    order = order[order != clip]
    return order[~same_group[order]][:count], int(same_group[order[:count]].sum())


def _group_indices(groups: Sequence[str]) -> NDArray[np.int64]:
    """Return the index of each clip's group. Clips without a group get an index of their own."""
    names = [group or f"\0{clip}" for clip, group in enumerate(groups)]
    index = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([index[name] for name in names], np.int64)
