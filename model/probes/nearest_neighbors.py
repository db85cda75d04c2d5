"""Nearest neighbors by cosine similarity, and their vote: the only implementation in this project.

Axes: Q query, R reference, K neighbor, D feature, C class or other target.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TEMPERATURE = 0.07
"""Divisor of the cosines in the weights of a vote (Wu et al. 2018)."""


class NearestNeighbors(NamedTuple):
    """The nearest references of each query, the nearest first."""

    cosines: Tensor
    """Cosine similarities `[Q, K]`, -1 to 1, or -inf for a reference that was excluded."""
    indices: Tensor
    """Indices of the references, int64 `[Q, K]`."""


def nearest(
    queries: Tensor, references: Tensor, count: int, excluded: Tensor | None = None, stable: bool = False
) -> NearestNeighbors:
    """Return the `count` nearest references of each query, or all references if there are fewer.

    Args:
        queries: unit vectors `[Q, D]`.
        references: unit vectors `[R, D]`.
        count: neighbors of each query, K.
        excluded: True for each pair that must not be returned, `[Q, R]`. If a query has fewer than `count` other
            references, excluded ones follow them with a cosine of -inf.
        stable: True to return references with equal cosines in the order of their indices. This sorts all references,
            which takes longer.
    """
    cosines = queries @ references.T
    if excluded is not None:
        cosines = cosines.masked_fill(excluded, -torch.inf)
    count = min(count, len(references))
    if stable:
        ordered, indices = cosines.sort(dim=1, descending=True, stable=True)
        return NearestNeighbors(ordered[:, :count], indices[:, :count])
    return NearestNeighbors(*cosines.topk(count, dim=1))


def weighted_vote(neighbors: NearestNeighbors, targets: Tensor) -> Tensor:
    """Return the mean of the targets of each query's neighbors, weighted by exp(cosine / 0.07), `[Q, C]`.

    With one-hot targets this is the share of each class, and the largest share is the class that is predicted.

    Args:
        neighbors: neighbors of each query, without excluded ones.
        targets: targets of the references, `[R, C]`.
    """
    weights = (neighbors.cosines / TEMPERATURE).softmax(1)
    return (weights[..., None] * targets[neighbors.indices]).sum(1)
