"""Random views, anchors and tilings for tests of the kernels over pairs of views, on a GPU if there is one."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.repulsion import Anchors
from model.objectives.kernels.tiling import Tiling

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ON_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

# (own views, width, ranks, rank): smaller than a tile and its minimum width; not a multiple of a tile; several ranks
SIZES = [(4, 3), (70, 33), (34, 128, 3, 1)]
LARGE_SIZES = [pytest.param(sizes, marks=ON_A_GPU) for sizes in ((8192, 128), (1030, 200))]
"""Sizes of training, which an interpreter would take hours for."""
# the default; one column range of many tiles; some column ranges of several tiles, the last one not full
TILINGS = [None, Tiling(16, 16, 4, 1, programs=1), Tiling(32, 16, 4, 1, programs=6)]


@dataclass(frozen=True)
class RandomViews:
    """Normalized random views of all ranks, with the anchors that belong to them."""

    own: torch.Tensor
    """Views of this rank, `[V, D]`."""
    all_views: torch.Tensor
    """Views of all ranks, `[ranks * V, D]`."""
    anchors: Anchors
    """One anchor for each of `all_views`."""
    own_start: int
    """Index of the first of `own` in `all_views`."""

    @property
    def temperature(self):
        """Temperatures of the own views, `[V]`."""
        return self.anchors[self.own_start : self.own_start + len(self.own)].temperature


def draw(rows, width, ranks=1, rank=0, dtype=torch.float32):
    """Return random views, as `rank` sees them, for `ranks` ranks with `rows` views each."""
    generator = torch.Generator().manual_seed(rows + width)
    all_views = F.normalize(torch.randn(ranks * rows, width, dtype=dtype, generator=generator), dim=1).to(DEVICE)
    logs, temperature = torch.rand(2, ranks * rows, dtype=dtype, generator=generator).to(DEVICE)
    temperature = temperature / 2 + 0.1
    own_start = rank * rows
    own = all_views[own_start : own_start + rows]
    return RandomViews(own, all_views, Anchors(10 + logs, temperature, 1 / temperature), own_start)


def compared_views(i, views, comparisons):
    """Return the indices of the views that own view `i` is compared with, from the clip and the side of each view."""
    rows = len(views.own)
    sources = [
        (number // rows, number % (rows // 2), number % rows // (rows // 2)) for number in range(len(views.all_views))
    ]
    rank, clip, side = sources[views.own_start + i]
    is_compared = {
        Comparisons.OTHERS: lambda other: other != (rank, clip, side),
        Comparisons.NEGATIVES: lambda other: other[:2] != (rank, clip),
        Comparisons.OTHER_SIDE: lambda other: other[2] != side,
        Comparisons.OTHER_SIDE_NEGATIVES: lambda other: other[2] != side and other[:2] != (rank, clip),
    }
    return [number for number, other in enumerate(sources) if is_compared[comparisons](other)]


@contextlib.contextmanager
def poisoned():
    """Fill uninitialized memory with NaN inside the `with` block."""
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(1, device=DEVICE).isnan()
        yield
    finally:
        torch.use_deterministic_algorithms(False)
