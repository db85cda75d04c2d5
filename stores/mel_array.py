"""The array of a mel store: how it is created, and what its metadata must say.

Zarr reads whatever the metadata says. If the metadata of another store, of another codec or with other chunk keys is
in the place of the right one, Zarr reads silence or noise without an error, so the metadata is compared first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec
from zarr.codecs.numcodecs import Delta
from zarr.storage import ObjectStore

from stores import object_storage
from stores.chunk_grid import ChunkGrid
from stores.commit import read_bounded, write_bytes
from stores.errors import CorruptArtifact
from stores.json_codec import parse_json
from stores.quantize import Quantizer

ARRAY_METADATA = "mel/zarr.json"
MAX_METADATA_BYTES = 1 << 20
"""Largest metadata of an array that is read, about a thousand times what it needs."""


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
        return zarr.open_array(store / "mel", mode="r+", zarr_format=3, config={"write_empty_chunks": True})
    return zarr.open_array(ObjectStore(object_storage.storage(f"{url}/mel"), read_only=True), mode="r", zarr_format=3)


def write_if_silent(file: Path, grid: ChunkGrid) -> None:
    """Write the file of a Zarr shard that Zarr did not write because it is silent. Otherwise it would count as lost.

    The file holds no chunk, and an index of pairs of offset and length that says so, with its CRC-32C.
    """
    if not file.exists():
        index = b"\xff" * (16 * (grid.zarr_shard_frames // grid.chunk_frames))
        checksum: int = google_crc32c.value(index)
        write_bytes(file, index + checksum.to_bytes(4, "little"))


def _codecs(dtype: str) -> dict[str, Any]:
    """Return filters and compressors, which were chosen on real music (tests/benchmarks/bench_store.py)."""
    if dtype == "float32":
        return {"compressors": (BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle", typesize=4), Crc32cCodec())}
    itemsize = np.dtype(dtype).itemsize
    # for bytes, level 1 is seven times as fast as level 5, and its result is smaller
    level, shuffle = (1, BloscShuffle.noshuffle) if itemsize == 1 else (5, BloscShuffle.shuffle)
    return {
        "filters": Delta(dtype=dtype),
        "compressors": (BloscCodec(cname="zstd", clevel=level, shuffle=shuffle, typesize=itemsize), Crc32cCodec()),
    }


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
    level, shuffle = {1: (1, "noshuffle"), 2: (5, "shuffle"), 4: (5, "bitshuffle")}[itemsize]
    blosc = {"typesize": itemsize, "cname": "zstd", "clevel": level, "shuffle": shuffle, "blocksize": 0}
    order = {} if itemsize == 1 else {"configuration": {"endian": "little"}}
    delta = [] if dtype == "float32" else [{"name": "numcodecs.delta", "configuration": {"dtype": dtype}}]
    return [*delta, {"name": "bytes", **order}, {"name": "blosc", "configuration": blosc}, {"name": "crc32c"}]
