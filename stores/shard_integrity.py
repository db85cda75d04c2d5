"""Integrity check of shards by their SHA-256, and records of the finished shards of an unfinished set."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from stores import remote_link
from stores.commit import read_bounded, write_json
from stores.errors import CorruptArtifact
from stores.json_codec import parse_json
from stores.manifest import STATES
from stores.mel_store import MelStore
from stores.shards import ShardSet, ShardSummary

MAX_RECORD_BYTES = 1 << 16
"""Largest record of a finished shard that is read."""
_PARTS = "parts"


def find_damage(folder: Path, summary: ShardSummary) -> tuple[str, str] | None:
    """Read a shard and return its damage, `missing` or `corrupt`, with a description. Return None if it is intact.

    Args:
        folder: folder of the shard set.
        summary: the recorded summary of the shard.
    """
    try:
        with remote_link.open_file(folder, summary.name) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing", "the file does not exist"
    except OSError as error:
        return "corrupt", str(error)
    size = remote_link.size_of(folder, summary.name)
    if size != summary.size_bytes:
        return "corrupt", f"it has {size} bytes, its index says {summary.size_bytes}"
    return None if sha256 == summary.sha256 else ("corrupt", "its SHA-256 is not the one in its index")


def find_staleness(shards: ShardSet, store: MelStore) -> str:
    """Return what has changed in a mel store since its shards were made, or empty text if nothing has.

    The digest of the shards covers the id, the length, the audio, the split and the state of every clip.
    """
    if store.shards_digest() == shards.store_digest:
        return ""
    if len(store) != shards.store_clips:
        return f"it has {len(store)} clips instead of {shards.store_clips}"
    actual = _left_out(store)
    recorded = {reason: count for reason, count in shards.left_out.items() if reason in actual or _is_named(reason)}
    counts = [
        f"{actual.get(reason, 0)} {reason} instead of {recorded.get(reason, 0)}"
        for reason in sorted({*actual, *recorded})
        if actual.get(reason, 0) != recorded.get(reason, 0)
    ]
    return ", ".join(counts) or "the audio, the length or the split of clips"


def _left_out(store: MelStore) -> dict[str, int]:
    """Return the number of clips that are not for training by state or split, as an index states them."""
    states, splits = (store.rows.column(name).to_pylist() for name in ("state", "split"))
    reasons = (f"split {split}" if state == "written" else state for state, split in zip(states, splits, strict=True))
    return dict(Counter(reason for reason in reasons if reason not in ("split ", "split train")))


def _is_named(reason: str) -> bool:
    """Return whether a reason is a state or a split, and not a length."""
    return reason in STATES or reason.startswith("split ")


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
