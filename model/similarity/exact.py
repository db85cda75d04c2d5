"""Exact nearest neighbors by matrix products. The matrix can stay on disk, mapped into memory as float16.

For float16, a first pass in float16 finds every row that can be among the nearest ones, and float32 ranks these rows.
`tests/benchmarks/bench_search.py` measures 200,000 rows of width 768.

Axes: Q query, R row, K neighbor, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from stores import mapped_array
from stores.errors import InvalidInput

ROUNDING = 1e-3
"""Bound of the error of a cosine of the first pass: float16 rounds the query by 2^-11 and the result by 2^-12."""
_BLOCK_ROWS = 2_048  # converted to float32 at a time; they fit into the cache of a core


class Matches(NamedTuple):
    """The nearest rows of each query, the nearest first."""

    cosines: NDArray[np.float32]
    """Cosine similarities `[Q, K]`, from -1 to 1."""
    rows: NDArray[np.int64]
    """Positions of the rows, `[Q, K]`."""


def unit_rows(embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return embeddings `[R, D]` scaled to length 1 as float32. Rows of zeros stay zeros."""
    scaled: NDArray[np.float32] = mapped_array.empty(embeddings.shape)
    for block in mapped_array.blocks(scaled):
        lengths = np.linalg.norm(embeddings[block], axis=1, keepdims=True)
        scaled[block] = embeddings[block] / np.where(lengths == 0, 1, lengths)
    return scaled


def search(
    queries: NDArray[np.float32],
    matrix: NDArray[np.floating],
    count: int,
    excluded: NDArray[np.bool_] | None = None,
) -> Matches:
    """Return the `count` rows with the greatest cosines for each query. Equal cosines are in the order of the rows.

    Args:
        queries: unit vectors `[Q, D]`.
        matrix: unit vectors `[R, D]`: float32, or float16 that PyTorch may write to (`np.load` with `mmap_mode="c"`).
        count: neighbors of each query, K. There are fewer if fewer rows are left.
        excluded: True for rows that are left out for all queries, `[R]`.

    Raises:
        InvalidInput: the queries have another width than the matrix.
    """
    if queries.shape[1] != matrix.shape[1]:
        raise InvalidInput(
            f"the query has {queries.shape[1]} numbers, but the embeddings have {matrix.shape[1]}; embed the query "
            "with the encoder of the store (--checkpoint)"
        )
    count = min(count, len(matrix) if excluded is None else int((~excluded).sum()))
    found = [_search_one(query, matrix, count, excluded) for query in np.asarray(queries, np.float32)]
    return Matches(np.stack([pair[0] for pair in found]), np.stack([pair[1] for pair in found]))


def _search_one(
    query: NDArray[np.float32], matrix: NDArray[np.floating], count: int, excluded: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    approximate, error = _products(query, matrix)
    if excluded is not None:
        approximate[excluded] = -np.inf
    if not count:
        return np.zeros(0, np.float32), np.zeros(0, np.int64)
    last = np.partition(approximate, len(approximate) - count)[len(approximate) - count]
    candidates = np.flatnonzero(approximate >= last - error)
    exact = np.asarray(matrix[candidates], np.float32) @ query if error else approximate[candidates]
    order = np.argsort(-exact, kind="stable")[:count]
    return exact[order], candidates[order]


def _products(query: NDArray[np.float32], matrix: NDArray[np.floating]) -> tuple[NDArray[np.float32], float]:
    """Return the dot product with each row, `[R]`, and the largest error of the differences between two of them."""
    if matrix.dtype == np.float16:
        vector = torch.from_numpy(query).half()
        return torch.mv(torch.from_numpy(matrix), vector).float().numpy(), 2 * ROUNDING
    products = [
        np.asarray(matrix[start : start + _BLOCK_ROWS], np.float32) @ query
        for start in range(0, len(matrix), _BLOCK_ROWS)
    ]
    return np.concatenate(products), 0.0
