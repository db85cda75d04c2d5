"""The division of the matrix of all pairs of views into tiles, so that it is never in memory as a whole.

A program takes a stripe of rows and goes through the tiles of one column range. If each stripe had only one column
range, 8,192 views would give 64 programs for the 132 multiprocessors of an H200. The columns are therefore divided too,
and the caller joins the results of the column ranges.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor


@dataclass(frozen=True)
class Tiling:
    """The size of a tile in views, and the limits of a kernel; sizes are powers of two and at least 16."""

    rows: int
    """Own views in a tile."""
    columns: int
    """Views of all ranks in a tile."""
    warps: int
    """Warps of a program."""
    stages: int
    """Tiles of columns that are loaded from memory at the same time."""
    max_width: int = 128
    """Maximum number of features of a view; more do not fit into the registers of a multiprocessor."""
    programs: int = 256
    """Approximate number of programs: two for each multiprocessor of a large GPU."""

    def grid(self, rows: int, columns: int) -> tuple[tuple[int, int], int]:
        """Return the grid of programs, (stripes, column ranges), and the number of tiles in a column range."""
        stripes, tiles = -(-rows // self.rows), -(-columns // self.columns)
        range_tiles = -(-tiles // min(tiles, -(-self.programs // stripes)))
        return (stripes, -(-tiles // range_tiles)), range_tiles


_BY_TYPE = {
    torch.bfloat16: Tiling(128, 64, warps=8, stages=3, max_width=256),
    torch.float32: Tiling(32, 32, warps=4, stages=2),
}


def supports(features: Shaped[Tensor, "V D"]) -> bool:
    """Return whether the kernels have tiles for features of this type and width."""
    return features.dtype in _BY_TYPE and features.shape[1] <= _BY_TYPE[features.dtype].max_width


def tiling_for(dtype: torch.dtype) -> Tiling:
    """Return the tiling for features of this type: bfloat16 uses tensor cores, float32 is exact and slow."""
    return _BY_TYPE[dtype]
