"""A shard set compared with its index and with its store; and made sound again from that store."""

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
    """What is wrong with the set in `folder`; all its bytes are read."""
    return list(_check(folder))


def _check(folder: Path) -> Iterator[Finding]:
    try:
        shards = ShardSet.open(folder, complete=False)
    except (MissingArtifact, CorruptArtifact) as error:
        kind = "corrupt" if isinstance(error, CorruptArtifact) else "missing"
        yield Finding(kind, "index.json", str(error))
        return
    for facts in shards.shards:
        if (found := shard_integrity.damage(folder, facts)) is not None:
            yield Finding(found[0], facts.name, found[1])
    yield from _compared_with_store(shards)


def _compared_with_store(shards: ShardSet) -> Iterator[Finding]:
    path = store_path(shards.folder)
    try:
        store = MelStore.open(path, complete=False)
    except MissingArtifact:  # shards are complete without their store
        return
    except CorruptArtifact as error:
        yield Finding("stale", shards.folder.name, f"its store cannot be read: {error}")
        return
    if store.digest() != shards.store_digest:
        yield Finding("stale", shards.folder.name, f"{path} is not the store any more that it was made from")


def repair(folder: Path) -> None:
    """Make the set again, as far as it is not sound, from its store and as it was shuffled then.

    Raises:
        MissingArtifact: there is no store, or an unfinished one.
        CorruptArtifact: the store is damaged; repair that first.
    """
    store = MelStore.open(store_path(folder))
    try:
        plan = ShardPlan(**ShardSet.open(folder, complete=False).plan)
    except (MissingArtifact, CorruptArtifact, TypeError):  # TypeError: the plan of another version
        plan = ShardPlan()
    write_shards(store, folder, plan, trusts_sizes=False)


def store_path(folder: Path) -> Path:
    """The store that the set in `folder` is made from."""
    return folder.with_suffix(".zarr")
