"""`python -m model.extract DATASET`: a mel store and an encoder become a feature store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from model.inference import representation
from model.training import checkpoint
from stores import locations
from stores.errors import exit_status
from stores.mel_store import MelStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m model.extract", description="A mel store and an encoder become a feature store."
    )
    parser.add_argument("dataset", help="name of a store under stores/, e.g. demo or gtzan")
    parser.add_argument("--checkpoint", type=Path, help="encoder (default: that of the run that finished last)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _extract(options))


def _extract(options: argparse.Namespace) -> None:
    store = MelStore.open(locations.mel_store(options.dataset))
    path = options.checkpoint or checkpoint.newest_finished()
    print(f"encoder: {path}")
    chosen = representation.of_checkpoint(path)
    target = chosen.path(options.dataset)
    features = chosen.extract(store, target)
    clips, width = features.embeddings.shape
    print(f"{target}: {clips} embeddings of width {width}")


if __name__ == "__main__":
    sys.exit(main())
