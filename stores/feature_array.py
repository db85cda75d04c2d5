"""The array of a feature store: its writer, and a reader that never takes lost or foreign bytes for embeddings.

Zarr reads whatever the metadata says, and it reads a chunk without a file as zeros. Therefore the metadata is compared
with what this package writes before anything is allocated, and the file of every chunk must exist. A CRC-32C after
every chunk detects changed bytes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from stores import mapped_array
from stores.errors import CorruptArtifact
from stores.json_codec import read_json

CHUNK_ROWS = 4096
MAX_WIDTH = 1 << 16
"""Largest number of columns, and of layers or tokens, that is read; about 40 times the width of the widest encoder."""
MAX_BYTES = 1 << 36
"""Largest size of the embeddings in memory, in bytes."""
ARRAY_METADATA = "embeddings/zarr.json"
METADATA = "zarr.json"
"""File with the attributes."""
MAX_METADATA_BYTES = 16 << 20
"""Largest metadata that are read. Those of an encoder have about 3 kB."""
_ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, _ZSTD]
_CHECKED_CODECS = [*_CODECS, {"name": "crc32c"}]


class EmbeddingsWriter:
    """A new array of embeddings that is written from its first row to its last, and the digest of its values.

    Whole chunks are written, so that each is compressed once, and memory holds one block and one chunk.
    """

    def __init__(self, store: Path, shape: tuple[int, ...]) -> None:
        """Create the group `store` with an empty array `[rows, width]`, `[rows, layers, width]` or `[rows, L, D]`."""
        self.hasher = hashlib.blake2b(digest_size=16)
        """BLAKE2b-128 of all rows so far, as float32 in little-endian order."""
        self._chunk_rows = _chunk_rows(shape)
        self._array = zarr.open_group(store, mode="w", zarr_format=3).create_array(
            "embeddings",
            shape=shape,
            dtype="float32",
            chunks=(self._chunk_rows, *shape[1:]),
            compressors=(ZstdCodec(level=0, checksum=False), Crc32cCodec()),
            config={"write_empty_chunks": True},
        )
        self._pending = np.zeros((0, *shape[1:]), np.float32)
        self._start = 0

    def append(self, embeddings: NDArray[np.float32]) -> None:
        """Write further rows `[n, width]`, or as many axes as the array has."""
        self.hasher.update(np.ascontiguousarray(embeddings, "<f4").data)
        pending = np.concatenate((self._pending, embeddings)) if len(self._pending) else embeddings
        whole = len(pending) - len(pending) % self._chunk_rows
        if self._start + len(pending) == self._array.shape[0]:
            whole = len(pending)
        if whole:
            self._array[self._start : self._start + whole] = pending[:whole]
        self._pending, self._start = pending[whole:], self._start + whole


def read_attributes(store: Path) -> dict[str, Any]:
    """Return the attributes of the feature store at `store`.

    Raises:
        CorruptArtifact: there are none.
    """
    try:
        attributes = read_json(store / METADATA, MAX_METADATA_BYTES).get("attributes")
    except OSError as error:
        raise CorruptArtifact(f"{store} is damaged: {error}; extract again") from error
    values = attributes.get("myna") if isinstance(attributes, dict) else None
    if not isinstance(values, dict):
        raise CorruptArtifact(f"{store} is not a feature store; extract again")
    return values


def require_array(store: Path, rows: int, *, has_checksums: bool, axes: int = 2) -> None:
    """Check that the feature store at `store` has an array of `rows` embeddings, before anything is allocated.

    Args:
        store: folder of the feature store.
        rows: number of its embeddings.
        has_checksums: true if every chunk has a checksum, false for the previous version.
        axes: number of axes of the array: 2, or 3 if there are layers or tokens.

    Raises:
        CorruptArtifact: the metadata is not that of such an array, or the file of a chunk is missing.
    """
    try:
        actual = read_json(store / ARRAY_METADATA, MAX_METADATA_BYTES)
    except OSError as error:
        raise CorruptArtifact(f"{store} has no embeddings: {error}; extract again") from error
    shape = actual.get("shape")
    if not (isinstance(shape, list) and len(shape) == axes and all(type(size) is int for size in shape)):
        raise CorruptArtifact(f"{store}: the shape of its embeddings is {str(shape)[:80]}; extract again")
    if shape[0] != rows or rows < 1 or not is_accepted_shape(shape):
        raise CorruptArtifact(
            f"{store}: its embeddings are {' x '.join(map(str, shape))}, and it describes {rows} of them; at most "
            f"{MAX_WIDTH} columns and {MAX_BYTES:,} bytes are accepted; extract again"
        )
    expected = _expected_metadata(tuple(shape), has_checksums)
    if differing := [key for key, value in expected.items() if actual.get(key) != value]:
        raise CorruptArtifact(
            f"{store}: {ARRAY_METADATA} does not match this feature store in {', '.join(differing)}; extract again"
        )
    if lost := _missing_chunks(store, shape, 1):  # Zarr would read zeros
        raise CorruptArtifact(f"{lost[0]} is missing, so that embeddings are lost; extract again")


def is_accepted_shape(shape: Sequence[int]) -> bool:
    """Return whether embeddings of this shape are read: no axis is empty or too long, and the memory is limited."""
    return all(1 <= size <= MAX_WIDTH for size in shape[1:]) and 4 * math.prod(shape) <= MAX_BYTES


def find_missing_chunks(store: Path, limit: int = 1_000) -> list[Path]:
    """Return the chunks of the feature store at `store` that have no file, or at most `limit` of them."""
    try:
        shape = read_json(store / ARRAY_METADATA, MAX_METADATA_BYTES)["shape"]
    except (OSError, CorruptArtifact, LookupError, TypeError):
        return []
    is_shape = isinstance(shape, list) and len(shape) in (2, 3) and all(type(size) is int for size in shape)
    return _missing_chunks(store, shape, limit) if is_shape and min(shape) > 0 else []


def _missing_chunks(store: Path, shape: Sequence[int], limit: int) -> list[Path]:
    chunks = range(-(-shape[0] // _chunk_rows(shape)))
    files = (store.joinpath("embeddings", "c", str(chunk), *("0" for _ in shape[1:])) for chunk in chunks)
    return list(islice((file for file in files if not file.is_file()), limit))


def _chunk_rows(shape: Sequence[int]) -> int:
    """Return the rows of a chunk: as many embeddings in all whether or not a row has several."""
    return min(max(1, CHUNK_ROWS // math.prod(shape[1:-1])), shape[0])


def read_embeddings(store: Path) -> NDArray[np.float32]:
    """Return the embeddings `[rows, width]` of a feature store, or with an axis more, after `require_array`.

    Many embeddings are in a file, see `stores.mapped_array`.

    Raises:
        CorruptArtifact: a chunk is damaged.
    """
    try:
        array = zarr.open_array(store / "embeddings", mode="r", zarr_format=3)
        embeddings = mapped_array.empty(array.shape)
        for chunks in _whole_chunks(embeddings, array.chunks[0]):
            embeddings[chunks] = array[chunks]
        return embeddings
    except (TypeError, ValueError, RuntimeError, KeyError, FileNotFoundError) as error:
        raise CorruptArtifact(f"{store} is damaged: {error}; extract again") from error


def _whole_chunks(embeddings: NDArray[np.float32], chunk_rows: int) -> Iterator[slice]:
    """Yield slices of whole chunks of rows, so that each chunk is decompressed once; one slice for few embeddings."""
    if embeddings.nbytes <= mapped_array.MAX_RAM_BYTES:
        yield slice(None)
    else:
        yield from (slice(start, start + chunk_rows) for start in range(0, len(embeddings), chunk_rows))


def _expected_metadata(shape: tuple[int, ...], has_checksums: bool) -> Mapping[str, Any]:
    """Return the metadata that `EmbeddingsWriter` writes, or that the previous version wrote."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [_chunk_rows(shape), *shape[1:]]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": _CHECKED_CODECS if has_checksums else _CODECS,
        "fill_value": 0.0,
        "storage_transformers": [],
    }
