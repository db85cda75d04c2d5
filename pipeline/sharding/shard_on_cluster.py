"""Sharding by the workers of a Dask cluster, which is a file of its own because importing Dask takes time."""

from __future__ import annotations

from pipeline.cluster.tasks import task_runner
from pipeline.sharding.config import ShardSettings
from pipeline.sharding.shard import shard
from stores.errors import InvalidInput


def shard_on_cluster(settings: ShardSettings) -> None:
    """Do what `shard` does on the cluster of the settings. Workers write the same bytes.

    Raises:
        InvalidInput: stock shards were asked for, which one process writes, or the cluster cannot be used.
        MissingArtifact, CorruptArtifact: the store cannot be read.
    """
    if settings.format == "stock":
        raise InvalidInput("--format stock is written by one process; leave out --scheduler")
    with task_runner(settings.cluster) as run_tasks:
        shard(settings, run_tasks)
