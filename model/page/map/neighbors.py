"""The nearest neighbors of each clip on the map, by cosine in the embedding and not on the plane.

The nearest clips mostly belong to the same piece: transpositions, excerpts, other renderings. The listed neighbors are
clips of other pieces, which shows what else the encoder considers similar. How many of the nearest clips of all belong
to the same piece is counted beside the list. Cosines are computed for 512 clips at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.probes.nearest_neighbors import NearestNeighbors, nearest

COUNT = 5
"""Neighbors of each clip."""
_MAX_SORTED_CLIPS = 3_000
_BLOCK_CLIPS = 512  # clips for which the cosines to all clips are in memory at a time


@dataclass(frozen=True)
class Neighbors:
    """The neighbors of each clip, the nearest first."""

    clips: tuple[tuple[int, ...], ...]
    """At most `COUNT` clips of other groups for each clip, or fewer if there are not as many."""
    cosines: tuple[tuple[float, ...], ...]
    """Cosines of the neighbors, from -1 to 1."""
    same_group: tuple[int, ...]
    """Number of clips of the clip's own group among its `COUNT` nearest clips."""

    @classmethod
    def compute(cls, embeddings: NDArray[np.float32], groups: Sequence[str], count: int = COUNT) -> Neighbors:
        """Compute the neighbors of all clips.

        Args:
            embeddings: `[clips, D]` of length 1.
            groups: piece, song or artist of each clip. A clip with an empty group is in a group of its own.
            count: neighbors of each clip.
        """
        group_indices, all_clips = torch.from_numpy(_group_indices(groups)), torch.arange(len(groups))
        vectors = torch.from_numpy(embeddings)
        others: list[list[tuple[int, float]]] = []
        same_group: list[int] = []
        # stable: ties keep their order, so that the page is reproducible; sorting many clips would take minutes
        is_stable = len(groups) <= _MAX_SORTED_CLIPS
        for block in torch.split(all_clips, _BLOCK_CLIPS):
            same = group_indices[block, None] == group_indices
            itself = block[:, None] == all_clips
            others += _pairs(nearest(vectors[block], vectors, count, excluded=same, stable=is_stable))
            closest = nearest(vectors[block], vectors, count, excluded=itself, stable=is_stable)
            same_group += (same.gather(1, closest.indices) & closest.cosines.isfinite()).sum(1).tolist()
        clips = tuple(tuple(other for other, _ in pairs) for pairs in others)
        return cls(clips, tuple(tuple(cosine for _, cosine in pairs) for pairs in others), tuple(same_group))


def _pairs(neighbors: NearestNeighbors) -> list[list[tuple[int, float]]]:
    """Return the index and the cosine of each neighbor of each clip, without excluded clips."""
    rows = zip(neighbors.indices.tolist(), neighbors.cosines.tolist(), strict=True)
    return [[pair for pair in zip(*row, strict=True) if math.isfinite(pair[1])] for row in rows]


def _group_indices(groups: Sequence[str]) -> NDArray[np.int64]:
    """Return the index of each clip's group. Clips without a group get an index of their own."""
    names = [group or f"\0{clip}" for clip, group in enumerate(groups)]
    index = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([index[name] for name in names], np.int64)
