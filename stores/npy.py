"""Strict reading of the header of an .npy file: the size that it claims must equal the number of bytes.

NumPy reserves the memory that a header claims before it checks the number of bytes, so a hostile header could exhaust
the memory.
"""

from __future__ import annotations

import math
import tokenize
from typing import Any, BinaryIO

import numpy as np

VERSION = (1, 0)
"""Version of the .npy format that `np.save` writes for plain arrays."""


def read_header(file: BinaryIO, size_bytes: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return the type and shape of the array in the next `size_bytes` of `file`, and leave `file` at its first value.

    Raises:
        ValueError: the header cannot be parsed or has another version, the array is in column order or holds objects,
            or `size_bytes` is not the size of the array with its header.
    """
    start = file.tell()
    if (version := np.lib.format.read_magic(file)) != VERSION:
        raise ValueError(f"the .npy format is {version}, and {VERSION} is needed")
    try:
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    except (SyntaxError, tokenize.TokenError, MemoryError, RecursionError) as error:  # NumPy parses it as Python
        raise ValueError(f"the .npy header cannot be parsed: {error}") from error
    needed = file.tell() - start + math.prod(shape) * dtype.itemsize
    if columns_first or dtype.hasobject or min(shape, default=0) < 0 or needed != size_bytes:
        raise ValueError(f"an array {dtype} {shape} in row order needs {needed} bytes, but there are {size_bytes}")
    return dtype, shape
