"""`python -m pipeline.shard stores/NAME.zarr`: a mel store becomes WebDataset shards in `stores/NAME.shards/`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pipeline.sharding.shard_writer import ShardPlan, write_shards
from stores import locations
from stores.commit import remove_temporary_files
from stores.errors import exit_status
from stores.labels import count_noun
from stores.lock import locked
from stores.mel_store import MelStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.shard", description="A mel store becomes shards.")
    parser.add_argument(
        "store", type=locations.store_path, help="mel store, or its name under stores/, e.g. stores/demo.zarr"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the shuffle of all clips (0)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _shard(options))


def _shard(options: argparse.Namespace) -> None:
    store, folder = MelStore.open(options.store), locations.shards(options.store)
    with locked(folder):
        remove_temporary_files(folder)
        shards = write_shards(store, folder, ShardPlan(seed=options.seed))
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(shards.left_out.items())) or "none"
    size = sum(shard.size_bytes for shard in shards.shards)
    counts = f"{count_noun(shards.clips, 'clip')} in {count_noun(len(shards.shards), 'shard')}, {size / 1e6:.1f} MB"
    print(f"{shards.folder}: {counts}; left out: {left_out}")


if __name__ == "__main__":
    sys.exit(main())
