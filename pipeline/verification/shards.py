"""The check of a shard set against its index and its mel store, and its repair from that store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.sharding.shard_writer import ShardPlan, write_shards
from pipeline.verification.mel_store import Finding
from stores import shard_integrity
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
    path = store_path(shards.folder)
    try:
        store = MelStore.open(path, complete=False)
    except MissingArtifact:  # a shard set can be used without its store
        return
    except CorruptArtifact as error:
        yield Finding("stale", shards.folder.name, f"its store cannot be read: {error}")
        return
    if store.digest() != shards.store_digest:
        yield Finding("stale", shards.folder.name, f"{path} has changed since the shards were made")


def repair(folder: Path) -> None:
    """Write the shards that are not sound again, from the mel store and with the same shuffle.

    Raises:
        MissingArtifact: there is no store, or its ingest has not finished.
        CorruptArtifact: the store is damaged and must be repaired first.
    """
    store = MelStore.open(store_path(folder))
    try:
        plan = ShardPlan(**ShardSet.open(folder, complete=False).plan)
    except (MissingArtifact, CorruptArtifact, TypeError):  # TypeError: the plan of another version
        plan = ShardPlan()
    write_shards(store, folder, plan, trust_sizes=False)


def store_path(folder: Path) -> Path:
    """Return the path of the mel store from which the shard set in `folder` is made."""
    return folder.with_suffix(".zarr")
