"""The header of an .npy file, read as something hostile: what it claims must fill its bytes exactly.

NumPy reserves the memory that a header claims before it looks whether there are as many bytes.
"""

from __future__ import annotations

import math
import tokenize
from typing import Any, BinaryIO

import numpy as np

VERSION = (1, 0)
"""Of the format; what `np.save` writes for plain arrays."""


def read_header(file: BinaryIO, size_bytes: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of the array in the next `size_bytes` of `file`, which then stands at its first value.

    Raises:
        ValueError: no header of this version, values in column order or that are objects, or more or fewer bytes than
            the array needs.
    """
    start = file.tell()
    if (version := np.lib.format.read_magic(file)) != VERSION:
        raise ValueError(f"format {version}, this version reads {VERSION}")
    try:
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    except (SyntaxError, tokenize.TokenError, MemoryError, RecursionError) as error:  # NumPy parses it as Python
        raise ValueError(f"a header that cannot be parsed: {error}") from error
    needed = file.tell() - start + math.prod(shape) * dtype.itemsize
    if columns_first or dtype.hasobject or min(shape, default=0) < 0 or needed != size_bytes:
        raise ValueError(f"{dtype} {shape} needs {needed} bytes in row order, there are {size_bytes}")
    return dtype, shape
