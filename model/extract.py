"""`python -m model.extract DATASET`: a mel store and an encoder become a feature store.

Started again after a kill it goes on with the parts that are missing, and refuses to with another engine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from model.encoder.published import PATCHES
from model.inference import representations
from model.inference.encoder_representation import WorkerSettings
from model.inference.engines.engine import ENGINES
from model.inference.engines.forward import PRECISIONS
from model.inference.extraction import ExtractionConfig
from model.inference.windows import POOLS, TAILS, Windowing
from stores import feature_tables, locations
from stores.errors import exit_status
from stores.labels import count_noun
from stores.mel_store import MelStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _extract(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.extract", description="A mel store and an encoder become a feature store."
    )
    parser.add_argument(
        "dataset",
        type=locations.store_path,
        help="a mel store: its name under stores/, e.g. demo or gtzan, or its path",
    )
    parser.add_argument(
        "--checkpoint",
        type=locations.checkpoint_path,
        help="encoder or run (default: that of the run that finished last)",
    )
    parser.add_argument("--out", type=Path, help="feature store (default: stores/DATASET.RUN.features.zarr)")
    parser.add_argument("--to", choices=feature_tables.KINDS, help="also write one file of this kind beside it")
    windows = parser.add_argument_group("windows", "96 frames, 3.07 s; a clip that is shorter is padded and flagged")
    windows.add_argument("--hop", type=int, default=96, help="frames between two windows (96)")
    windows.add_argument("--tail", default="right", choices=TAILS, help="one more window at the end, or none (right)")
    windows.add_argument("--pool", default="mean", choices=POOLS, help="mean: a row per clip; none: per window (mean)")
    engine = parser.add_argument_group("engine")
    engine.add_argument("--engine", default="eager", choices=(*ENGINES, "auto"), help="what computes (eager)")
    engine.add_argument(
        "--precision", default="auto", choices=("auto", *PRECISIONS), help="auto: bf16 where faster, else fp32"
    )
    engine.add_argument("--layer", type=int, help="mean over the tokens after this block, from 1 (eager only)")
    engine.add_argument("--scheduler", help="spread it: processes, threads or tcp://HOST:PORT (default: here)")
    engine.add_argument("--workers", type=int, help="processes to start (default: one a core)")
    published = parser.add_argument_group("published checkpoints", "which cannot say all of what they are")
    published.add_argument("--patches", default="auto", choices=PATCHES, help="of a hybrid also one kind (auto)")
    published.add_argument("--input-scale", choices=("power", "log1p", "log"), help="what it was trained on (power)")
    return parser


def _extract(options: argparse.Namespace) -> None:
    store = MelStore.open(options.dataset)
    path = options.checkpoint or locations.latest_finished_encoder()
    print(f"encoder: {path}")
    windowing = Windowing(options.hop, options.tail, options.pool)
    asked = ExtractionConfig(
        options.engine, options.precision, options.layer, windowing, options.patches, options.input_scale
    )
    workers = WorkerSettings(options.scheduler, options.workers) if options.scheduler else None
    chosen = representations.of_checkpoint(path, asked, workers)
    ran = chosen.provenance(store)
    print(f"engine: {ran['engine']['name']} in {ran['precision']} on {ran['engine']['device']}")
    target = options.out or chosen.path(store.path.stem)
    features = chosen.extract(store, target, replaces=False)
    rows, width = features.embeddings.shape
    padded = f", {features.spans.padded.sum()} of clips shorter than a window" if features.spans.padded.any() else ""
    print(f"{target}: {count_noun(rows, 'embedding')} of width {width}{padded}")
    if options.to:
        table = target.with_name(target.name.removesuffix(".zarr").removesuffix(".features") + f".{options.to}")
        feature_tables.write(table, features, options.to)
        print(f"{table}: {count_noun(rows, 'row')}")


if __name__ == "__main__":
    sys.exit(main())
