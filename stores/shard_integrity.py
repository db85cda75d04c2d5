"""Whether tars are what was written, by their SHA-256; and a record of those that are, while a set is being made."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from stores.commit import write_json
from stores.shards import ShardFacts

_PARTS = "parts"


def damage(folder: Path, facts: ShardFacts) -> tuple[str, str] | None:
    """What is wrong with one tar, all of whose bytes are read: `missing` or `corrupt`, and why; None if nothing."""
    path = folder / facts.name
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing", "it is not there"
    except OSError as error:
        return "corrupt", str(error)
    size = path.stat().st_size
    if size != facts.size_bytes:
        return "corrupt", f"it has {size} bytes, its index says {facts.size_bytes}"
    return None if found == facts.sha256 else ("corrupt", "its SHA-256 is not the one in its index")


def record(folder: Path, facts: ShardFacts, made_from: str) -> None:
    """Note that a tar is finished, for a restart to find.

    Args:
        folder: of the set.
        facts: of the tar.
        made_from: digest of all that decides its bytes.
    """
    write_json(folder / _PARTS / f"{facts.name}.json", {"made_from": made_from, "facts": asdict(facts)})


def recorded(folder: Path, made_from: str) -> Iterator[ShardFacts]:
    """The tars that were noted as finished and are sound; what else was noted is passed over."""
    for path in sorted((folder / _PARTS).glob("*.json")):
        try:
            content = json.loads(path.read_text())
            facts = ShardFacts(**content["facts"])
            if content["made_from"] == made_from and damage(folder, facts) is None:
                yield facts
        except (AttributeError, KeyError, TypeError, ValueError):  # no JSON, or not ours
            continue


def forget(folder: Path) -> None:
    """Remove the record, once an index tells more."""
    shutil.rmtree(folder / _PARTS, ignore_errors=True)
