"""Headers of safetensors files: read within bounds before any tensor is, and written in one order.

A file begins with the length of its header in 8 bytes, then the header as JSON: `__metadata__` with texts by name, and
for each tensor its type, its shape, and the place of its bytes after the header.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stores.errors import CorruptArtifact
from stores.json_codec import parse_json

MAX_HEADER_BYTES = 1 << 24
"""Largest header that is read. A tensor needs about a hundred bytes of it."""
FLOAT_TYPES = ("F64", "F32", "F16", "BF16")
"""Types of real numbers, which the weights of a model have."""
_METADATA = "__metadata__"
_LENGTH_BYTES = 8
_BITS = {
    **{"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "C64": 64, "BOOL": 8},
    **{"U64": 64, "U32": 32, "U16": 16, "U8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4},
    **{"F6_E2M3": 6, "F6_E3M2": 6},
}


@dataclass(frozen=True)
class TensorEntry:
    """Type and shape of a tensor."""

    type: str
    """Type as the format names it, for example `F32`."""
    shape: tuple[int, ...]
    """Shape."""


@dataclass(frozen=True)
class SafetensorsHeader:
    """The header of a safetensors file."""

    metadata: Mapping[str, str]
    """Texts by name."""
    tensors: Mapping[str, TensorEntry]
    """Type and shape of each tensor by name."""


def read(path: Path) -> SafetensorsHeader:
    """Return the header of the file at `path`. No tensor is read.

    Raises:
        CorruptArtifact: the file is not a safetensors file, or a tensor does not lie within it.
        OSError: from the file system.
    """
    try:
        content, data_bytes = _read_content(path)
        metadata = content.pop(_METADATA, {})
        if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError("its metadata are not texts")
        return SafetensorsHeader(metadata, {name: _entry(name, value, data_bytes) for name, value in content.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptArtifact(
            f"{path} is not a safetensors file: {error}; if a copy or a download was interrupted, repeat it"
        ) from error


def sort_metadata(path: Path) -> None:
    """Sort the metadata of a file that was just written by name, so that the same content gives the same bytes.

    The safetensors package writes them in an order that differs between processes.

    Raises:
        OSError: from the file system.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        content = parse_json(file.read(length))
        content[_METADATA] = dict(sorted(content.get(_METADATA, {}).items()))
        header = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
        if len(header) <= length:  # a package that escapes less than json.dumps keeps its own order
            file.seek(_LENGTH_BYTES)
            file.write(header.ljust(length))


def _read_content(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header of the file as JSON values, and the number of bytes after it."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - _LENGTH_BYTES):
            raise ValueError(f"it has {size} bytes, and its header claims {length}")
        content = parse_json(file.read(length))
    if not isinstance(content, dict):
        raise ValueError("its header is not a JSON object")
    return content, size - _LENGTH_BYTES - length


def _entry(name: str, value: Any, data_bytes: int) -> TensorEntry:
    kind, shape, (start, stop) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, start, stop)):
        raise ValueError(f"tensor {name} has the shape {list(shape)} at {start} to {stop}")
    if (stop - start) * 8 != math.prod(shape) * _BITS[kind] or stop > data_bytes:
        raise ValueError(f"tensor {name} of type {kind} and shape {list(shape)} cannot lie at {start} to {stop}")
    return TensorEntry(kind, shape)
