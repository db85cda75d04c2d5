"""How the matrix of all pairs of views is cut into tiles; none of it is ever whole in memory.

A program takes a stripe of rows and walks along a part of the columns. With one part each, 8,192 views would make 64
programs for the 132 multiprocessors of an H200; so the columns are parted too, and the parts' results joined by the
caller.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor


@dataclass(frozen=True)
class Tiling:
    """Extents of a tile, in views; powers of two, at least 16."""

    rows: int
    """Own views of a tile."""
    columns: int
    """Views of all ranks of a tile."""
    warps: int
    """Warps of a program."""
    stages: int
    """Tiles of columns on their way from memory at once."""
    widest: int = 128
    """Features of a view, at most: more of them spill out of a multiprocessor's registers."""
    programs: int = 256
    """About how many there shall be: two for each multiprocessor of a large GPU."""

    def cut(self, rows: int, columns: int) -> tuple[tuple[int, int], int]:
        """The grid, stripes by parts, and the tiles of each part."""
        stripes, tiles = -(-rows // self.rows), -(-columns // self.columns)
        each = -(-tiles // min(tiles, -(-self.programs // stripes)))
        return (stripes, -(-tiles // each)), each


_BY_TYPE = {
    torch.bfloat16: Tiling(128, 64, warps=8, stages=3, widest=256),
    torch.float32: Tiling(32, 32, warps=4, stages=2),
}


def serves(features: Shaped[Tensor, "V D"]) -> bool:
    """Whether there are tiles for features of that type and width."""
    return features.dtype in _BY_TYPE and features.shape[1] <= _BY_TYPE[features.dtype].widest


def tiling_of(dtype: torch.dtype) -> Tiling:
    """Tiles for features of that type: bfloat16 for tensor cores; float32 is multiplied exactly, and slowly."""
    return _BY_TYPE[dtype]
