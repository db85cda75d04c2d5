"""The attributes of a mel store: its format version and the settings that it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr

from stores.chunk_grid import ChunkGrid
from stores.errors import CorruptArtifact, InvalidInput

FORMAT_VERSION = 4
UPGRADED_VERSION = 3
"""Version that `pipeline.verify --upgrade` converts to `FORMAT_VERSION`."""
VALUES_VERSION = 3
"""Format version that last changed the meaning of a stored value. Digests contain it, so that an upgrade keeps them."""
MAX_ZARR_SHARD_BYTES = 1 << 32
"""Largest Zarr shard that is read, about a thousand times the default."""
METADATA = "zarr.json"
_SETTINGS = ("grid", "dataset", "root", "mel_spec", "quantizer", "preprocessing")


def read(path: Path) -> dict[str, Any]:
    """Return the attributes of the store at `path`.

    Raises:
        CorruptArtifact: it is not a mel store of this version. For a store that can be converted, the message names the
            command.
    """
    attributes = read_any_version(path)
    version = attributes.get("format_version")
    if version != FORMAT_VERSION:
        upgrade = f"convert it with `python -m pipeline.verify --upgrade {path}`"
        advice = upgrade if version == UPGRADED_VERSION else "ingest again with another --store"
        raise CorruptArtifact(
            f"{path} has format version {version}, and this version of Myna reads {FORMAT_VERSION}; {advice}"
        )
    if missing := [key for key in _SETTINGS if key not in attributes]:
        raise CorruptArtifact(f"{path} lacks the settings {', '.join(missing)}; ingest again with another --store")
    return attributes


def read_any_version(path: Path) -> dict[str, Any]:
    """Return the attributes of the store at `path`, whatever its version is.

    Raises:
        CorruptArtifact: it is not a mel store.
    """
    try:
        attributes = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False).attrs["myna"]
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:  # TypeError: JSON that is not an object
        raise CorruptArtifact(f"{path} is not a mel store: {error}") from error
    if not isinstance(attributes, dict):
        raise CorruptArtifact(f"{path} is not a mel store: its attributes are {attributes!r}")
    return dict(attributes)


def read_grid(path: Path, attributes: Mapping[str, Any]) -> ChunkGrid:
    """Return the grid of the store at `path`.

    Raises:
        CorruptArtifact: the grid is impossible, or its Zarr shards are larger than `MAX_ZARR_SHARD_BYTES`.
    """
    try:
        grid = ChunkGrid(**attributes["grid"])
        shard_bytes = 4 * attributes["mel_spec"]["n_mels"] * grid.zarr_shard_frames
        if shard_bytes > MAX_ZARR_SHARD_BYTES:
            raise InvalidInput(f"{grid}: a Zarr shard has {shard_bytes} bytes; {MAX_ZARR_SHARD_BYTES} are accepted")
    except (TypeError, InvalidInput) as error:
        raise CorruptArtifact(f"{path} has an impossible grid: {error}; ingest again with another --store") from error
    return grid


def value_settings(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that can change a stored value."""
    settings = {key: attributes[key] for key in ("mel_spec", "quantizer", "preprocessing")}
    return {"format_version": VALUES_VERSION, **settings}
