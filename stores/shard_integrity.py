"""Integrity check of shards by their SHA-256, and records of the finished shards of an unfinished set."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from stores.commit import read_bounded, write_json
from stores.errors import CorruptArtifact
from stores.json_codec import parse_json
from stores.shards import ShardSummary

MAX_RECORD_BYTES = 1 << 16
"""Largest record of a finished shard that is read."""
_PARTS = "parts"


def find_damage(folder: Path, summary: ShardSummary) -> tuple[str, str] | None:
    """Read a shard and return its damage, `missing` or `corrupt`, with a description. Return None if it is intact.

    Args:
        folder: folder of the shard set.
        summary: the recorded summary of the shard.
    """
    path = folder / summary.name
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing", "the file does not exist"
    except OSError as error:
        return "corrupt", str(error)
    size = path.stat().st_size
    if size != summary.size_bytes:
        return "corrupt", f"it has {size} bytes, its index says {summary.size_bytes}"
    return None if sha256 == summary.sha256 else ("corrupt", "its SHA-256 is not the one in its index")


def record_shard(folder: Path, summary: ShardSummary, made_from: str, store_name: str = "") -> None:
    """Record that a shard is finished, so that a restart can keep it.

    Args:
        folder: folder of the shard set.
        summary: the summary of the shard.
        made_from: digest of everything that determines the bytes of the shard.
        store_name: name of the folder of the mel store.
    """
    content = {"made_from": made_from, "store": store_name, "facts": asdict(summary)}
    write_json(folder / _PARTS / f"{summary.name}.json", content)


def recorded_store(folder: Path) -> str:
    """Return the name of the store whose unfinished shards are in `folder`, or empty text if no record states one."""
    for path in sorted((folder / _PARTS).glob("*.json")):
        try:
            return str(parse_json(read_bounded(path, MAX_RECORD_BYTES)).get("store", ""))
        except (AttributeError, CorruptArtifact, OSError, ValueError):  # not JSON, or not a record
            continue
    return ""


def find_recorded_shards(folder: Path, made_from: str) -> Iterator[ShardSummary]:
    """Yield the recorded shards that are intact and have the digest `made_from`. Other records are ignored."""
    for path in sorted((folder / _PARTS).glob("*.json")):
        try:
            content = parse_json(read_bounded(path, MAX_RECORD_BYTES))
            summary = ShardSummary(**content["facts"])
            if content["made_from"] == made_from and find_damage(folder, summary) is None:
                yield summary
        except (AttributeError, CorruptArtifact, KeyError, TypeError, ValueError):  # not JSON, or not a record
            continue


def remove_records(folder: Path) -> None:
    """Remove the records of finished shards, which are not needed once the index exists."""
    shutil.rmtree(folder / _PARTS, ignore_errors=True)
