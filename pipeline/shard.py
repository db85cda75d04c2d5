"""`python -m pipeline.shard stores/NAME.zarr`: convert a mel store to WebDataset shards in `stores/NAME.shards/`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.sharding.config import ShardSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: ShardSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        if settings.cluster.scheduler is not None:
            from pipeline.sharding.shard_on_cluster import shard_on_cluster

            shard_on_cluster(settings)
            return
        from pipeline.sharding.shard import shard

        shard(settings)

    return run_command(ShardSettings, arguments, "pipeline.shard", run)


if __name__ == "__main__":
    sys.exit(main())
