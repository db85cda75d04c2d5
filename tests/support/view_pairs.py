"""Views, anchors and tilings that kernels over view_pairs of views are tried with; on a GPU if there is one."""

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

# (own views, width, ranks, rank): fewer than a tile and than its least width; no multiples of one; several ranks
SIZES = [(4, 3), (70, 33), (34, 128, 3, 1)]
# as they are chosen; one part of many tiles; some parts of several tiles, the last one not full
TILINGS = [None, Tiling(16, 16, 4, 1, programs=1), Tiling(32, 16, 4, 1, programs=6)]


@dataclass(frozen=True)
class Drawn:
    own: torch.Tensor
    everyone: torch.Tensor
    anchors: Anchors
    first: int

    @property
    def temperature(self):
        return self.anchors[self.first : self.first + len(self.own)].temperature


def draw(rows, width, ranks=1, rank=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(rows + width)
    everyone = F.normalize(torch.randn(ranks * rows, width, dtype=dtype, generator=generator), dim=1).to(DEVICE)
    logs, temperature = torch.rand(2, ranks * rows, dtype=dtype, generator=generator).to(DEVICE)
    temperature = temperature / 2 + 0.1
    first = rank * rows
    return Drawn(everyone[first : first + rows], everyone, Anchors(10 + logs, temperature, 1 / temperature), first)


def keys_of(i, drawn, keys):
    """The numbers of the keys of own view i, from what clip and side each view shows."""
    rows = len(drawn.own)
    sees = [
        (number // rows, number % (rows // 2), number % rows // (rows // 2)) for number in range(len(drawn.everyone))
    ]
    rank, clip, side = sees[drawn.first + i]
    wanted = {
        Comparisons.OTHERS: lambda other: other != (rank, clip, side),
        Comparisons.NEGATIVES: lambda other: other[:2] != (rank, clip),
        Comparisons.OTHER_SIDE: lambda other: other[2] != side,
    }
    return [number for number, other in enumerate(sees) if wanted[keys](other)]


@contextlib.contextmanager
def poisoned():
    """Memory that is not written holds NaN."""
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(1, device=DEVICE).isnan()
        yield
    finally:
        torch.use_deterministic_algorithms(False)
