"""The work of `python -m pipeline.shard`."""

from __future__ import annotations

from pathlib import Path

from pipeline.sharding.config import ShardSettings
from pipeline.sharding.shard_writer import ShardPlan, TaskRunner, write_shards
from pipeline.sharding.stock_writer import StockPlan, write_stock
from stores import locations, remote_link
from stores.commit import remove_temporary_files
from stores.json_output import print_json
from stores.labels import count_noun
from stores.lock import write_lock
from stores.mel_store import MelStore
from stores.shards import ShardSet


def shard(settings: ShardSettings, run_tasks: TaskRunner | None = None) -> None:
    """Write the shards of a mel store, unless they are there, and print what they hold.

    Args:
        settings: the settings.
        run_tasks: function that runs the tasks of a cluster (default: this process writes all tars).

    Raises:
        MissingArtifact, CorruptArtifact: the store cannot be read.
    """
    path = remote_link.store_path(settings.store)
    store = MelStore.open(path)
    if settings.format == "stock":
        remote_link.require_local(path, "--format stock")
        _write_stock(store, locations.beside_store(path, ".stock"), StockPlan(settings.seed), settings.json)
        return
    folder = locations.shards(path)
    with write_lock(folder):
        remove_temporary_files(folder)
        shards = write_shards(store, folder, ShardPlan(seed=settings.seed), run_tasks=run_tasks)
    print(_summary(shards))
    if settings.json:
        size = sum(shard.size_bytes for shard in shards.shards)
        counts = {"clips": shards.clips, "files": len(shards.shards), "bytes": size}
        print_json({"shards": str(folder), **counts, "left_out": dict(shards.left_out)})


def _write_stock(store: MelStore, folder: Path, plan: StockPlan, as_json: bool) -> None:
    with write_lock(folder):
        remove_temporary_files(folder)
        stock = write_stock(store, folder, plan)
    counts = f"{count_noun(stock.clips, 'clip')} in {count_noun(stock.tars, 'tar')}"
    print(f"{stock.folder}: {counts}, {stock.size_bytes / 1e6:.1f} MB")
    if as_json:
        print_json({"shards": str(stock.folder), "clips": stock.clips, "files": stock.tars, "bytes": stock.size_bytes})


def _summary(shards: ShardSet) -> str:
    omitted = ", ".join(f"{count} {reason}" for reason, count in sorted(shards.left_out.items())) or "none"
    megabytes = sum(shard.size_bytes for shard in shards.shards) / 1e6
    counts = f"{count_noun(shards.clips, 'clip')} in {count_noun(len(shards.shards), 'shard')}"
    return f"{remote_link.name_of(shards.folder)}: {counts}, {megabytes:.1f} MB; left out: {omitted}"
