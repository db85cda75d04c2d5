"""The conversion of an earlier mel store, without decoding.

Version 4 adds the columns `warnings`, `expected_seconds` and `decoded_seconds` to the manifest of version 3, and the
state `unlisted`. The first stores of version 4 have no column `semitones`, and are converted too. The rows of finished
regions and the manifest are converted first, each file atomically, and the version in the attributes last. After a
kill, the store still has the previous version or a file with its columns, and the next conversion continues.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stores import manifest, mel_attributes
from stores.arrow_columns import plain_schema
from stores.commit import read_bounded, remove_temporary_files, write_bytes
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import parse_json
from stores.manifest import ClipRows
from stores.manifest_checks import find_problem
from stores.mel_store import MANIFEST, PARTS, MelStore

MAX_ATTRIBUTES_BYTES = 1 << 24
_FIRST_SCHEMA_4 = pa.schema([column for column in manifest.SCHEMA if column.name != "semitones"])
"""Columns of the first mel stores of format version 4."""


def upgrade(path: Path) -> bool:
    """Convert the store at `path` to the present format version.

    The caller must hold the lock of the store. Every stored value and every digest stay as they are.

    Returns:
        Whether anything was converted. A store with the present version and columns is not changed.

    Raises:
        MissingArtifact: there is no store.
        CorruptArtifact: it has neither version, or cannot be read.
    """
    if not (path / MANIFEST).is_file():
        raise MissingArtifact(f"no mel store at {path}; state the folder of a mel store")
    attributes = mel_attributes.read_any_version(path)
    version = attributes.get("format_version")
    if version not in (mel_attributes.UPGRADED_VERSION, mel_attributes.FORMAT_VERSION):
        raise CorruptArtifact(
            f"{path} has format version {version}, and only {mel_attributes.UPGRADED_VERSION} can be converted; ingest "
            f"again with another --store"
        )
    files = [*sorted((path / PARTS).glob("region-*.parquet")), path / MANIFEST]
    earlier = [file for file in files if not _schema(file).equals(manifest.SCHEMA)]
    if version == mel_attributes.FORMAT_VERSION and not earlier:
        MelStore.open(path, complete=False, checks_array=False)
        return False
    _require_sound(path, attributes, files)  # a damaged store is not changed, so that every attempt says so
    remove_temporary_files(path, recursive=False)
    for file in earlier:
        _convert(file)
    if version != mel_attributes.FORMAT_VERSION:
        _write_version(path)
    MelStore.open(path, complete=False, checks_array=False)
    return True


def require_present_version(path: Path) -> None:
    """Check that the store at `path` is not an earlier one that can be converted.

    Raises:
        InvalidInput: it is. The message names the command.
    """
    try:
        version = mel_attributes.read_any_version(path).get("format_version")
        has_earlier_columns = (path / MANIFEST).is_file() and _schema(path / MANIFEST).equals(_FIRST_SCHEMA_4)
    except CorruptArtifact:
        return
    if version == mel_attributes.UPGRADED_VERSION or has_earlier_columns:
        columns = "" if version == mel_attributes.UPGRADED_VERSION else " and the columns of its first stores"
        raise InvalidInput(
            f"{path} has format version {version}{columns}; convert it with "
            f"`python -m pipeline.verify --upgrade {path}`"
        )


def _require_sound(path: Path, attributes: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Read all rows, and check those of the manifest.

    Raises:
        CorruptArtifact: a file is damaged, or the rows contradict each other.
    """
    for file in files:
        _rows(file).verify()
    if missing := {"grid", "mel_spec"} - attributes.keys():
        raise CorruptArtifact(
            f"{path} lacks the settings {', '.join(sorted(missing))}; ingest again with another --store"
        )
    if problem := find_problem(_rows(path / MANIFEST), mel_attributes.read_grid(path, attributes)):
        raise CorruptArtifact(f"{path / MANIFEST} is damaged: {problem}; remove {path} and ingest again")


def _schema(file: Path) -> pa.Schema:
    try:
        return plain_schema(pq.read_schema(file))
    except (OSError, ValueError) as error:
        is_part = file.parent.name == PARTS
        advice = "remove it, and the next ingest decodes its clips again" if is_part else "ingest again"
        raise CorruptArtifact(f"{file} is not a readable Parquet file ({error}); {advice}") from error


def _rows(file: Path) -> ClipRows:
    """Return the rows of a file with the present or earlier columns."""
    schema = _schema(file)
    known = (manifest.SCHEMA, _FIRST_SCHEMA_4)
    return manifest.read(file, schema if any(schema.equals(other) for other in known) else manifest.SCHEMA_3)


def _convert(file: Path) -> None:
    """Add the new columns to a file of rows."""
    manifest.write(file, _rows(file))


def _write_version(path: Path) -> None:
    file = path / mel_attributes.METADATA
    content = parse_json(read_bounded(file, MAX_ATTRIBUTES_BYTES))
    content["attributes"]["myna"]["format_version"] = mel_attributes.FORMAT_VERSION
    write_bytes(file, json.dumps(content, indent=2).encode())
