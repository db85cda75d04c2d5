"""The array of a mel store: how it is created, and what its metadata must say.

Zarr reads whatever the metadata says. If the metadata of another store, of another codec or with other chunk keys is
in the place of the right one, Zarr reads silence or noise without an error, so the metadata is compared first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs
import numpy as np
import zarr
from numcodecs import Blosc
from numcodecs import blosc as _blosc
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec
from zarr.codecs.numcodecs import Delta
from zarr.storage import ObjectStore

from stores import object_storage
from stores.chunk_grid import ChunkGrid
from stores.commit import read_bounded, write_bytes
from stores.errors import CorruptArtifact
from stores.json_codec import parse_json
from stores.quantize import Codes, Quantizer

ARRAY_METADATA = "mel/zarr.json"
MAX_METADATA_BYTES = 1 << 20
"""Largest metadata of an array that is read, about a thousand times what it needs."""
_COMPRESSION = {1: (1, "noshuffle"), 2: (5, "shuffle"), 4: (5, "bitshuffle")}
"""Level of zstd and shuffle of Blosc by the bytes of a value.

For bytes, level 1 is seven times as fast as level 5, and its result is smaller.
"""
_SHUFFLES = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}
_NO_CHUNK = (1 << 64) - 1
"""Offset and length of a chunk that is not stored."""

_blosc.use_threads = False  # threads of Blosc would write the blocks of a chunk in a random order


def create_array(store: Path, attributes: Mapping[str, Any], total_frames: int) -> None:
    """Create the empty array of a store. If only the metadata of the array was lost, existing frames are kept."""
    grid, dtype = attributes["grid"], Quantizer.from_dict(attributes["quantizer"]).dtype
    n_mels = attributes["mel_spec"]["n_mels"]
    zarr.create_array(
        store / "mel",
        shape=(n_mels, total_frames),
        dtype=dtype,
        chunks=(n_mels, grid["chunk_frames"]),
        shards=(n_mels, grid["zarr_shard_frames"]),
        **_codecs(dtype),
        fill_value=0,
        dimension_names=("mel", "frame"),
        zarr_format=3,
    )


def open_array(store: Path, url: str | None) -> zarr.Array[Any]:
    """Return the array of a store, which can be read and written, or read only if the store is at a URL."""
    if url is None:
        return zarr.open_array(store / "mel", mode="r+", zarr_format=3)
    return zarr.open_array(ObjectStore(object_storage.storage(f"{url}/mel"), read_only=True), mode="r", zarr_format=3)


def write_shard(file: Path, codes: Codes, grid: ChunkGrid) -> None:
    """Write the file of a Zarr shard with `codes` `[n_mels, frames]` and zeros after them, bit for bit as Zarr does.

    Zarr passes every chunk through an event loop and two threads, and takes three times as long. A silent chunk is not
    stored, as in Zarr. If all chunks are silent, Zarr writes no file, but here a file that does not exist is lost data.

    Args:
        file: the file, which is replaced atomically and flushed to disk.
        codes: at most as many frames as a Zarr shard has, in the type of the store.
        grid: the chunk grid of the store.
    """
    index = np.full((grid.zarr_shard_frames // grid.chunk_frames, 2), _NO_CHUNK, "<u8")  # offset and length of each
    content = bytearray()
    for number, start in enumerate(range(0, codes.shape[1], grid.chunk_frames)):
        part = codes[:, start : start + grid.chunk_frames]
        if part.any():
            chunk = np.zeros((len(codes), grid.chunk_frames), codes.dtype)
            chunk[:, : part.shape[1]] = part
            encoded = _encode(chunk)
            index[number] = len(content), len(encoded)
            content += encoded
    write_bytes(file, bytes(content + _with_checksum(index.tobytes())))


def _encode(chunk: Codes) -> bytes:
    level, shuffle = _COMPRESSION[chunk.itemsize]
    codec = Blosc("zstd", level, _SHUFFLES[shuffle], typesize=chunk.itemsize)
    values = chunk if chunk.dtype == np.float32 else numcodecs.Delta(chunk.dtype).encode(chunk)
    return _with_checksum(codec.encode(values))


def _with_checksum(content: bytes) -> bytes:
    checksum: int = google_crc32c.value(content)
    return content + checksum.to_bytes(4, "little")


def _codecs(dtype: str) -> dict[str, Any]:
    """Return filters and compressors, which were chosen on real music (tests/benchmarks/bench_store.py)."""
    itemsize = np.dtype(dtype).itemsize
    level, shuffle = _COMPRESSION[itemsize]
    compressor = BloscCodec(cname="zstd", clevel=level, shuffle=BloscShuffle(shuffle), typesize=itemsize)
    filters = {} if dtype == "float32" else {"filters": Delta(dtype=dtype)}
    return {**filters, "compressors": (compressor, Crc32cCodec())}


def find_metadata_damage(store: Path, attributes: Mapping[str, Any], total_frames: int) -> str:
    """Return what is wrong with the metadata of the array, or empty text if nothing is.

    Args:
        store: folder of the store.
        attributes: the attributes of the store.
        total_frames: frames that the manifest needs. The array may have more, for example after rows were removed.
    """
    try:
        actual = parse_json(read_bounded(store / ARRAY_METADATA, MAX_METADATA_BYTES))
    except (OSError, ValueError, CorruptArtifact) as error:
        return str(error)
    if not isinstance(actual, dict):
        return f"{ARRAY_METADATA} is not an object"
    differing = [key for key, value in _expected_metadata(attributes).items() if actual.get(key) != value]
    shape, n_mels = actual.get("shape"), attributes["mel_spec"]["n_mels"]
    if not (isinstance(shape, list) and len(shape) == 2 and shape[0] == n_mels and _is_length(shape[1], total_frames)):
        differing.append("shape")
    if not differing:
        return ""
    return f"{ARRAY_METADATA} does not match this store in {', '.join(differing)}"


def _is_length(frames: Any, total_frames: int) -> bool:
    return type(frames) is int and total_frames <= frames < 1 << 62


def _expected_metadata(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata that `create_array` writes, without the shape. Asking Zarr takes 2 ms at each opening."""
    grid, n_mels = attributes["grid"], attributes["mel_spec"]["n_mels"]
    dtype = Quantizer.from_dict(attributes["quantizer"]).dtype
    sharding = {
        "chunk_shape": [n_mels, grid["chunk_frames"]],
        "codecs": _expected_codecs(dtype),
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    chunks = {"name": "regular", "configuration": {"chunk_shape": [n_mels, grid["zarr_shard_frames"]]}}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "data_type": dtype,
        "chunk_grid": chunks,
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "fill_value": 0,
        "dimension_names": ["mel", "frame"],
        "storage_transformers": [],
    }


def _expected_codecs(dtype: str) -> list[dict[str, Any]]:
    itemsize = np.dtype(dtype).itemsize
    level, shuffle = _COMPRESSION[itemsize]
    blosc = {"typesize": itemsize, "cname": "zstd", "clevel": level, "shuffle": shuffle, "blocksize": 0}
    order = {} if itemsize == 1 else {"configuration": {"endian": "little"}}
    delta = [] if dtype == "float32" else [{"name": "numcodecs.delta", "configuration": {"dtype": dtype}}]
    return [*delta, {"name": "bytes", **order}, {"name": "blosc", "configuration": blosc}, {"name": "crc32c"}]
