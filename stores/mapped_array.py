"""Arrays that are too large for memory lie in files without a name, which the system reads and drops page by page.

A small array is an ordinary one. The file of a large array is removed when it is created, so that nothing is left after
a kill, and its space is free when the array is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores import locations

MAX_RAM_BYTES = 128 << 20
"""Size of the largest array that stays in memory, in bytes: 43,000 embeddings of width 768."""
BLOCK_BYTES = 16 << 20
"""Bytes of an array that are read or computed at a time."""


def empty(shape: tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
    """Return an array of any shape and type, in memory or in a file. Its values are not set.

    The file lies on the disk of the stores, or in the folder for temporary files if there are no stores.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= MAX_RAM_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=_folder()) as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error now, and not a signal at a later write
        return np.asarray(np.memmap(file, dtype, "r+", 0, shape))


def take(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return rows `[chosen]` of an array of any shape, copied block by block."""
    chosen = empty((len(rows), *array.shape[1:]), array.dtype)
    for block in blocks(chosen):
        chosen[block] = array[rows[block]]
    return chosen


def blocks(array: NDArray[Any]) -> Iterator[slice]:
    """Yield slices of the rows of an array of any shape, each of at most `BLOCK_BYTES`, or of one row."""
    row_bytes = max(1, array.nbytes // max(1, len(array)))
    step = max(1, BLOCK_BYTES // row_bytes)
    yield from (slice(start, min(start + step, len(array))) for start in range(0, len(array), step))


def _folder() -> Path:
    return locations.STORES if os.access(locations.STORES, os.W_OK) else Path(tempfile.gettempdir())
