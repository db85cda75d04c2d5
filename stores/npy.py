"""Writing of .npy files, and strict reading of their headers: the claimed size must equal the number of bytes.

NumPy reserves the memory that a header claims before it checks the number of bytes, so a hostile header could exhaust
the memory.
"""

from __future__ import annotations

import math
import tokenize
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

VERSION = (1, 0)
"""Version of the .npy format that `np.save` writes for plain arrays."""


def read_header(file: BinaryIO, size_bytes: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return the type and shape of the array in the next `size_bytes` of `file`, and leave `file` at its first value.

    Raises:
        ValueError: the header cannot be parsed or has another version, the array is in column order or holds objects,
            or `size_bytes` is not the size of the array with its header.
    """
    dtype, shape, is_by_columns = _parse_header(file, size_bytes)
    if is_by_columns:
        raise ValueError(f"an array {dtype} {shape} in row order is needed, but it is in column order")
    return dtype, shape


def read(file: BinaryIO, size_bytes: int) -> NDArray[Any]:
    """Return the array in the next `size_bytes` of `file`, of any shape, in row order or in column order.

    Raises:
        ValueError: see `read_header`, or the file ends early.
    """
    dtype, shape, is_by_columns = _parse_header(file, size_bytes)
    content = file.read(math.prod(shape) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if is_by_columns else "C")


def _parse_header(file: BinaryIO, size_bytes: int) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Return type and shape, and whether the array is in column order."""
    start = file.tell()
    if (version := np.lib.format.read_magic(file)) != VERSION:
        raise ValueError(f"the .npy format is {version}, and {VERSION} is needed")
    try:
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    except (SyntaxError, tokenize.TokenError, MemoryError, RecursionError) as error:  # NumPy parses it as Python
        raise ValueError(f"the .npy header cannot be parsed: {error}") from error
    needed = file.tell() - start + math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or needed != size_bytes:
        raise ValueError(f"an array {dtype} {shape} without objects needs {needed} bytes, but there are {size_bytes}")
    return dtype, shape, bool(columns_first)


def write(file: BinaryIO, array: NDArray[Any]) -> None:
    """Write `array`, of any shape, in row order to a file.

    `np.save` reports a full disk without its error number, and then it is not recognized as one.

    Raises:
        OSError: from the file system, with its error number.
    """
    np.lib.format.write_array_header_1_0(file, {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape})
    file.write(np.ascontiguousarray(array).data)
