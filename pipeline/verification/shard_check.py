"""The check of a shard set against its index and its mel store, and its repair from that store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.sharding.shard_writer import ShardPlan, write_shards
from pipeline.verification.mel_store_check import Finding
from stores import locations, shard_integrity
from stores.errors import CorruptArtifact, MissingArtifact
from stores.mel_store import MelStore
from stores.shards import ShardSet


def check(folder: Path) -> list[Finding]:
    """Return what is wrong with the shard set in `folder`. All its bytes are read."""
    return list(_check(folder))


def _check(folder: Path) -> Iterator[Finding]:
    try:
        shards = ShardSet.open(folder, complete=False)
    except (MissingArtifact, CorruptArtifact) as error:
        kind = "corrupt" if isinstance(error, CorruptArtifact) else "missing"
        yield Finding(kind, "index.json", str(error))
        return
    for shard in shards.shards:
        if (damage := shard_integrity.find_damage(folder, shard)) is not None:
            kind, detail = damage
            yield Finding(kind, shard.name, detail)
    yield from _compare_with_store(shards)


def _compare_with_store(shards: ShardSet) -> Iterator[Finding]:
    path = store_path(shards.folder, shards.store_name)
    try:
        store = MelStore.open(path, complete=False)
    except MissingArtifact:  # a shard set can be used without its store
        return
    except CorruptArtifact as error:
        yield Finding("stale", shards.folder.name, f"its store cannot be read: {error}")
        return
    if change := shard_integrity.find_staleness(shards, store):
        detail = f"{path} has changed since the shards were made: {change}; run `python -m pipeline.shard {path}`"
        yield Finding("stale", shards.folder.name, detail)


def repair(folder: Path) -> None:
    """Write the shards that are not sound again, from the mel store and with the same shuffle.

    Raises:
        MissingArtifact: there is no store, or its ingest has not finished.
        CorruptArtifact: the store is damaged and must be repaired first.
    """
    plan, store_name = ShardPlan(), ""
    try:
        shards = ShardSet.open(folder, complete=False)
        plan, store_name = ShardPlan(**shards.plan), shards.store_name
    except (MissingArtifact, CorruptArtifact, TypeError):  # TypeError: the plan of another version
        store_name = shard_integrity.recorded_store(folder)
    write_shards(MelStore.open(store_path(folder, store_name)), folder, plan, trust_sizes=False)


def store_path(folder: Path, store_name: str = "") -> Path:
    """Return the path of the mel store from which the shard set in `folder` is made.

    Args:
        folder: folder of the shard set.
        store_name: name of the folder of the store, as the shard set states it.
    """
    stated = folder.with_name(Path(store_name).name) if store_name else folder
    return stated if store_name and stated.exists() else locations.store_of_shards(folder)
