"""The rule for which views an anchor is compared with, as a Boolean matrix and as a function inside kernels.

The rule is symmetric: if view i as an anchor is compared with view j, then j as an anchor is compared with i.

Axes: A own view (2B: first views, then second views), E view of all ranks (rank by rank, A of each).
"""

from __future__ import annotations

from enum import IntEnum

import torch
from jaxtyping import Bool
from torch import Tensor

from model.encoder.kernels.jit import jit, tl


class Comparisons(IntEnum):
    """The views that are summed in the log-normalizer of an anchor."""

    OTHERS = 0
    """Every view except the anchor: 2N - 1 views if the ranks have N clips together."""
    NEGATIVES = 1
    """Every view of another clip: 2N - 2 views."""
    OTHER_SIDE = 2
    """Every second view for a first view, and every first view for a second view: N views, with the partner."""
    OTHER_SIDE_NEGATIVES = 3
    """As `OTHER_SIDE`, without the partner: N - 1 views."""

    def mask(self, rows: int, columns: int, own_start: int, device: torch.device) -> Bool[Tensor, "A E"]:
        """Return for each own view which of all views it is compared with.

        Args:
            rows: number A of own views.
            columns: number E of views of all ranks.
            own_start: number of the first own view among all views.
            device: device of the matrix.
        """
        own, every = torch.arange(rows, device=device)[:, None], torch.arange(columns, device=device)
        if self in (Comparisons.OTHER_SIDE, Comparisons.OTHER_SIDE_NEGATIVES):
            compared: Tensor = (own >= rows // 2) != (every % rows >= rows // 2)
        else:
            compared = every != own_start + own
        if self in (Comparisons.NEGATIVES, Comparisons.OTHER_SIDE_NEGATIVES):
            compared &= every != own_start + (own + rows // 2) % rows
        return compared


@jit
def is_compared(row, column, own_start, rows, comparisons: tl.constexpr):
    """Return `Comparisons.mask` for a tile, with the shape [row, column]: rows of own views, columns of all views."""
    half = rows // 2
    if comparisons >= 2:
        compared = (row >= half)[:, None] != (column % rows >= half)[None, :]
    else:
        compared = (own_start + row)[:, None] != column[None, :]
    if comparisons % 2 == 1:
        compared = compared & ((own_start + (row + half) % rows)[:, None] != column[None, :])
    return compared
