"""`python -m model.train --store stores/NAME.zarr`: a mel store becomes a trained encoder in `runs/NAME/`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from model.encoder.config import PRESETS, preset
from model.training import checkpoint
from model.training.config import TrainConfig, fastest_device, fastest_precision
from model.training.loop import Pace, Run, require_same
from model.training.stream import ResidentClips, WindowStream
from stores import locations
from stores.commit import write_json
from stores.errors import CorruptArtefact, InvalidInput, MissingArtefact, exit_status
from stores.mel_store import MelStore
from stores.shards import ShardSet


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _train(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.train", description="A mel store becomes a trained encoder.")
    parser.add_argument("--store", type=Path, required=True, help="mel store; its shards are made if need be")
    parser.add_argument("--name", help="of the run (default: STORE-PRESET)")
    parser.add_argument("--preset", default="myna-hybrid", choices=sorted(PRESETS), help="encoder (myna-hybrid)")
    parser.add_argument("--batch", type=int, default=4096, help="clips a step, two windows each (4096)")
    parser.add_argument("--steps", type=int, default=100_000, help="steps of the run (100000)")
    parser.add_argument("--masking-ratio", type=float, default=0.9, help="share of patches hidden, 0 to 1 (0.9)")
    parser.add_argument("--projection-width", type=int, default=128, help="of the head that the loss sees (128)")
    parser.add_argument("--temperature", type=float, default=0.1, help="of InfoNCE (0.1)")
    parser.add_argument("--learning-rate", type=float, default=3e-4, help="Adam's (3e-4)")
    parser.add_argument("--weight-decay", type=float, default=1e-5, help="Adam's L2 term (1e-5)")
    parser.add_argument("--warmup-steps", type=int, default=0, help="steps of linear rise (0)")
    parser.add_argument(
        "--schedule", default="constant", choices=("constant", "cosine"), help="after warm-up (constant)"
    )
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"), help="auto: bf16 where faster")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order, windows, masks (0)")
    parser.add_argument("--checkpoint-every", type=int, default=200, help="steps (200)")
    parser.add_argument("--log-every", type=int, default=10, help="steps (10)")
    return parser


def _train(options: argparse.Namespace) -> None:
    shards = _shards(options.store)
    config = _config(options, shards)
    folder = locations.run(options.name or f"{options.store.stem}-{options.preset}")
    if (folder / checkpoint.FINISHED).is_file():
        require_same(checkpoint.load(folder / checkpoint.FINISHED).config, config, folder)
        print(f"{folder}: finished already")
        return
    run = _open_run(folder, config, shards)
    clips = ResidentClips.load(shards)
    stream = WindowStream(clips, config.batch, config.encoder.window_frames, config.seed)
    print(f"{folder}: {config.steps} steps of {config.batch} clips, {stream.order.steps_per_epoch} steps an epoch")
    finished = run.train(stream, Pace(options.log_every, options.checkpoint_every))
    print(f"{finished}: finished after {run.step} steps")


def _shards(store: Path) -> ShardSet:
    """The shards of `store` as it is now; made by the stage that makes them, in a process of its own, if need be."""
    wanted, folder = MelStore.open(store).digest(), locations.shards(store)
    try:
        shards = ShardSet.open(folder)
        if shards.store_digest == wanted:
            return shards
        print(f"{folder}: {store} has changed since they were made; making them again", flush=True)
    except (MissingArtefact, CorruptArtefact) as error:
        print(f"{error}; doing so", flush=True)
    made = subprocess.run([sys.executable, "-m", "pipeline.shard", str(store)], check=False)
    if made.returncode:
        raise InvalidInput(f"`python -m pipeline.shard {store}` failed with status {made.returncode}")
    return ShardSet.open(folder)


def _config(options: argparse.Namespace, shards: ShardSet) -> TrainConfig:
    return TrainConfig(
        encoder=preset(options.preset),
        shards=shards.store_digest,
        batch=options.batch,
        steps=options.steps,
        masking_ratio=options.masking_ratio,
        projection_width=options.projection_width,
        temperature=options.temperature,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        warmup_steps=options.warmup_steps,
        schedule=options.schedule,
        precision=fastest_precision() if options.precision == "auto" else options.precision,
        seed=options.seed,
    )


def _open_run(folder: Path, config: TrainConfig, shards: ShardSet) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, config, shards.quantizer, fastest_device())
    settings = {"mel_spec": shards.spec.to_dict(), "quantizer": shards.quantizer.to_dict()}
    write_json(folder / "config.json", {**config.to_dict(), **settings, "store": shards.folder.stem})
    return run


if __name__ == "__main__":
    sys.exit(main())
