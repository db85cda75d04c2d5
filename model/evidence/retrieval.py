"""Retrieval by cosine similarity: which references share the recording or the album of a query.

Axes: Q query, R reference, D feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from model.probes.nearest_neighbors import nearest

RECALL_RANKS = (1, 5)
"""Numbers of nearest references among which a relevant one is looked for."""


@dataclass(frozen=True)
class Retrieval:
    """Values of each query that has a relevant reference."""

    queries: NDArray[np.int64]
    """Positions of these queries, `[Q]`."""
    recall: dict[int, NDArray[np.float64]]
    """1 if one of the K nearest references is relevant, else 0, `[Q]` for each K of `RECALL_RANKS`."""
    average_precision: NDArray[np.float64]
    """Average precision of the ranking of all references, `[Q]`."""
    first_rank: NDArray[np.float64]
    """Rank of the first relevant reference, from 1, `[Q]`."""


def retrieve(features: NDArray[np.float32], relevant: NDArray[np.bool_], excluded: NDArray[np.bool_]) -> Retrieval:
    """Rank all references for each query and return how early the relevant ones come.

    Args:
        features: one row for each item, which is a query and a reference, `[Q, D]`.
        relevant: True where reference R is what query Q looks for, `[Q, R]`.
        excluded: True where reference R is left out of the ranking of query Q, such as the query itself, `[Q, R]`.
    """
    return retrieve_from(features, features, relevant, excluded)


def retrieve_from(
    query_features: NDArray[np.float32],
    references: NDArray[np.float32],
    relevant: NDArray[np.bool_],
    excluded: NDArray[np.bool_],
    recall_ranks: Sequence[int] = RECALL_RANKS,
) -> Retrieval:
    """Rank all references for each query and return how early the relevant ones come.

    Args:
        query_features: one row for each query, `[Q, D]`.
        references: one row for each reference, `[R, D]`.
        relevant: True where reference R is what query Q looks for, `[Q, R]`.
        excluded: True where reference R is left out of the ranking of query Q, `[Q, R]`.
        recall_ranks: numbers of nearest references among which a relevant one is looked for.
    """
    relevant = relevant & ~excluded
    count = len(references)
    ranking = nearest(
        _unit(query_features), _unit(references), count, torch.from_numpy(excluded), stable=True
    ).indices.numpy()
    hits = np.take_along_axis(relevant, ranking, axis=1)
    queries = np.flatnonzero(hits.any(axis=1))
    hits = hits[queries]
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return Retrieval(
        queries=queries,
        recall={rank: np.asarray(hits[:, :rank].any(axis=1), np.float64) for rank in recall_ranks},
        average_precision=(precision * hits).sum(axis=1) / hits.sum(axis=1),
        first_rank=np.asarray(hits.argmax(axis=1) + 1, np.float64),
    )


def nearest_other(
    queries: NDArray[np.float32], references: NDArray[np.float32], excluded: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the position of the nearest reference of each query, `[Q]`.

    Args:
        queries: features `[Q, D]`.
        references: features `[R, D]`.
        excluded: True where reference R is left out for query Q, `[Q, R]`.
    """
    neighbors = nearest(_unit(queries), _unit(references), 1, torch.from_numpy(excluded), stable=True)
    positions: NDArray[np.int64] = neighbors.indices[:, 0].numpy()
    return positions


def _unit(features: NDArray[np.float32]) -> Tensor:
    return normalize(torch.from_numpy(np.asarray(features, np.float64)), dim=1)
