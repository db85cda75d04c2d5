"""The conversion of a mel store of the previous format version, without decoding.

Version 4 adds the columns `warnings`, `expected_seconds` and `decoded_seconds` to the manifest, and the state
`unlisted`. The rows of finished regions and the manifest are converted first, each file atomically, and the version in
the attributes last. After a kill, the store still has the previous version, and the next conversion continues.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from stores import manifest, mel_attributes
from stores.arrow_columns import plain_schema
from stores.commit import read_bounded, remove_temporary_files, write_bytes
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import parse_json
from stores.mel_store import MANIFEST, PARTS, MelStore

MAX_ATTRIBUTES_BYTES = 1 << 24


def upgrade(path: Path) -> bool:
    """Convert the store at `path` to the present format version.

    The caller must hold the lock of the store. Every stored value and every digest stay as they are.

    Returns:
        Whether the store had the previous version. A store of the present version is not changed.

    Raises:
        MissingArtifact: there is no store.
        CorruptArtifact: it has neither version, or cannot be read.
    """
    if not (path / MANIFEST).is_file():
        raise MissingArtifact(f"no mel store at {path}; state the folder of a mel store")
    version = mel_attributes.read_any_version(path).get("format_version")
    if version == mel_attributes.FORMAT_VERSION:
        return False
    if version != mel_attributes.UPGRADED_VERSION:
        raise CorruptArtifact(
            f"{path} has format version {version}, and only {mel_attributes.UPGRADED_VERSION} can be converted; ingest "
            f"again with another --store"
        )
    remove_temporary_files(path, recursive=False)
    for file in [*sorted((path / PARTS).glob("region-*.parquet")), path / MANIFEST]:
        _convert(file)
    _write_version(path)
    MelStore.open(path, complete=False, checks_array=False)
    return True


def require_present_version(path: Path) -> None:
    """Check that the store at `path` does not have the version that can be converted.

    Raises:
        InvalidInput: it has. The message names the command.
    """
    try:
        version = mel_attributes.read_any_version(path).get("format_version")
    except CorruptArtifact:
        return
    if version == mel_attributes.UPGRADED_VERSION:
        raise InvalidInput(
            f"{path} has format version {version}; convert it with `python -m pipeline.verify --upgrade {path}`"
        )


def _convert(file: Path) -> None:
    """Add the new columns to a file of rows, unless it has them already."""
    try:
        schema = plain_schema(pq.read_schema(file))
    except (OSError, ValueError) as error:
        raise CorruptArtifact(f"{file} is not a readable Parquet file: {error}") from error
    if not schema.equals(manifest.SCHEMA):
        manifest.write(file, manifest.read(file, manifest.SCHEMA_3))


def _write_version(path: Path) -> None:
    file = path / mel_attributes.METADATA
    content = parse_json(read_bounded(file, MAX_ATTRIBUTES_BYTES))
    content["attributes"]["myna"]["format_version"] = mel_attributes.FORMAT_VERSION
    write_bytes(file, json.dumps(content, indent=2).encode())
