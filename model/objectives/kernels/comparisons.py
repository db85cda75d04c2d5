"""Which views an anchor is compared with: its keys, as a matrix of truths, and inside a kernel as a rule.

The rule is symmetric: if a view is a key of an anchor, the anchor is one of the view's.

Axes: A own view (2B: first views, then second ones), E view of all ranks (rank by rank, A of each).
"""

from __future__ import annotations

from enum import IntEnum

import torch
from jaxtyping import Bool
from torch import Tensor

from model.encoder.kernels.jit import jit, tl


class Comparisons(IntEnum):
    """Who is summed in an anchor's normaliser."""

    OTHERS = 0
    """Every view but itself: 2N - 1 of them, if the ranks have N clips together."""
    NEGATIVES = 1
    """Every view of another clip: 2N - 2."""
    OTHER_SIDE = 2
    """Every second view, of a first one, and the other way round: N, its partner among them."""

    def mask(self, rows: int, columns: int, first: int, device: torch.device) -> Bool[Tensor, "A E"]:
        """Which of `columns` views are keys of `rows` own ones.

        Args:
            rows: A.
            columns: E.
            first: where own views begin among all.
            device: where the matrix is made.
        """
        own, every = torch.arange(rows, device=device)[:, None], torch.arange(columns, device=device)
        if self is Comparisons.OTHER_SIDE:
            across: Tensor = (own >= rows // 2) != (every % rows >= rows // 2)
            return across
        others = every != first + own
        return others if self is Comparisons.OTHERS else others & (every != first + (own + rows // 2) % rows)


@jit
def is_key(row, column, first, rows, keys: tl.constexpr):
    """`Keys.mask` for a tile: rows of own views, columns of all; shape [row, column]."""
    half = rows // 2
    if keys == 2:
        key = (row >= half)[:, None] != (column % rows >= half)[None, :]
    else:
        key = (first + row)[:, None] != column[None, :]
        if keys == 1:
            key = key & ((first + (row + half) % rows)[:, None] != column[None, :])
    return key
