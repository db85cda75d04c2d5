"""`python -m model.train --store stores/NAME.zarr`: a mel store becomes a trained encoder in `runs/NAME/`.

On several GPUs or CPUs of a machine: `torchrun --nproc-per-node N -m model.train --store stores/NAME.zarr`; a run may
go on with another N.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from model.encoder.config import PRESETS, EncoderConfig, preset
from model.encoder.device import fastest_device, fastest_precision
from model.encoder.input_scale import InputScale
from model.encoder.masking import POLICIES
from model.objectives.config import PRESETS as OBJECTIVES
from model.objectives.config import ObjectiveConfig
from model.objectives.config import preset as preset_objective
from model.training import checkpoint, initialization, ranks
from model.training.config import OPTIMIZERS, TrainConfig
from model.training.data_location import DATA_LOCATIONS, open_clips, require_device
from model.training.knn_validation import KnnValidation
from model.training.learner import MaskedAutoencoder
from model.training.loop import LoggingConfig, Run, require_same
from model.training.malloc_tuning import keep_freed_memory
from model.training.prefetch import Prefetch
from model.training.reconstructions import draw
from model.training.sources import TrainingShards
from model.training.stream import WindowStream
from stores import locations
from stores.commit import write_json
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact, exit_status
from stores.labels import count_noun
from stores.mel_store import MelStore
from stores.shards import ShardSet

SETTINGS = (
    "What is trained: each of these can change the result. They are recorded, and a run goes on with the same only."
)
PACE = "How it is done: none of these changes the result, and a run may go on with others."
OBJECTIVE_NUMBERS = ("temperature", "gamma", "gamma_decay_epochs", "rho", "temperature_learning_rate")
Group = argparse._ArgumentGroup


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    options = parsed(arguments)
    device = fastest_device()
    keep_freed_memory()
    with ranks.joined(device):
        return exit_status(lambda: _train(options, device))


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's options; ends the process, as argparse does, where it is not understood."""
    return _parser().parse_args(arguments)


def setting_flags() -> frozenset[str]:
    """The flags that can change a result, without their dashes, e.g. `masking-ratio`."""
    groups = [group for group in _parser()._action_groups if group.title in ("settings", "objective")]
    return frozenset(one.option_strings[0].removeprefix("--") for group in groups for one in group._group_actions)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.train",
        description="A mel store becomes a trained encoder.",
        epilog="Recipes, with their time and what they reached, stand in docs/training.md.",
        allow_abbrev=False,
    )
    stores = "mel store, its path or its name under stores/; its shards are made if need be; may be repeated"
    parser.add_argument("--store", type=locations.store_path, required=True, action="append", help=stores)
    parser.add_argument("--name", help="of the run (default: STORE-PRESET)")
    _add_settings(parser.add_argument_group("settings", SETTINGS))
    _add_objective(parser)
    _add_pace(parser.add_argument_group("pace", PACE))
    return parser


def _add_settings(group: Group) -> None:
    group.add_argument("--preset", default="myna-hybrid", choices=sorted(PRESETS), help="encoder (myna-hybrid)")
    group.add_argument("--input-scale", choices=get_args(InputScale), help="of the mel power (the preset's)")
    group.add_argument("--batch", type=int, default=4096, help="clips a step, two windows each (4096)")
    group.add_argument("--steps", type=int, default=100_000, help="steps of the run (100000)")
    group.add_argument("--max-frame-distance", type=int, help="of a clip's two windows, frames (any)")
    group.add_argument("--masking-ratio", type=float, default=0.9, help="share of patches hidden, 0 to 1 (0.9)")
    group.add_argument("--masking", default="uniform", choices=sorted(POLICIES), help="which patches (uniform)")
    group.add_argument("--projection-width", type=int, default=128, help="of the head that the loss sees (128)")
    group.add_argument("--optimizer", default="adam", choices=OPTIMIZERS, help="(adam)")
    group.add_argument("--learning-rate", type=float, default=3e-4, help="the optimizer's (3e-4)")
    group.add_argument("--weight-decay", type=float, default=1e-5, help="L2 of adam and sgd, decay of others (1e-5)")
    group.add_argument("--clip-gradient-norm", type=float, help="largest norm of the whole gradient (not clipped)")
    group.add_argument("--warmup-steps", type=int, default=0, help="steps of linear rise (0)")
    group.add_argument(
        "--schedule", default="constant", choices=("constant", "cosine"), help="after warm-up (constant)"
    )
    group.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"), help="auto: bf16 where faster")
    group.add_argument("--seed", type=int, default=0, help="of weights, order, windows, masks (0)")
    group.add_argument(
        "--init", type=locations.checkpoint_path, metavar="CHECKPOINT", help="or run to begin with (drawn by the seed)"
    )


def _add_objective(parser: argparse.ArgumentParser) -> None:
    told = "More settings. Numbers that are not given are those of the preset."
    group = parser.add_argument_group("objective", told)
    group.add_argument("--objective", default="infonce", choices=sorted(OBJECTIVES), help="preset (infonce)")
    group.add_argument("--temperature", type=float, help="at the start, if it is learned (0.1)")
    group.add_argument("--gamma", type=float, help="inner learning rate, at its lowest, 0 to 1")
    group.add_argument("--gamma-decay-epochs", type=int, help="of its cosine (half of the run's)")
    group.add_argument("--rho", type=float, help="nats that sharpen or soften learned temperatures")
    group.add_argument("--temperature-learning-rate", type=float, help="of their logarithms")


def _add_pace(group: Group) -> None:
    group.add_argument("--resident", default="ram", choices=DATA_LOCATIONS, help="where the clips stay (ram)")
    group.add_argument("--workers", type=int, default=2, help="threads that make batches ahead (2)")
    group.add_argument("--log-every", type=int, default=10, help="steps between lines of metrics.jsonl (10)")
    group.add_argument("--checkpoint-every", type=int, default=200, help="steps between checkpoints (200)")
    group.add_argument("--keep", type=int, default=2, help="checkpoints that are kept, the last ones (2)")
    group.add_argument(
        "--check-store", type=locations.store_path, help="labelled mel store for the online check (no check)"
    )
    group.add_argument("--check-task", help="its label that neighbours should share, e.g. genre")
    group.add_argument("--check-every", type=int, default=500, help="steps between online checks (500)")


def _train(options: argparse.Namespace, device: torch.device) -> None:
    _require_objective_options(options)
    sources = TrainingShards(tuple(_shards(store) for store in options.store))
    config = _config(options, sources)
    folder = locations.run(options.name or f"{sources.name}-{options.preset}")
    if (folder / locations.ENCODER_FILE).is_file():
        require_same(checkpoint.load(folder / locations.ENCODER_FILE).config, config, folder)
        _tell(f"{folder}: finished already")
        return
    ranks.part_of(config.batch)  # refuses what ranks cannot share, before a folder is made
    require_device(options.resident, device)
    pace = LoggingConfig(options.log_every, options.checkpoint_every, options.check_every, options.keep)
    check = _check(options, config)
    run = _open_run(folder, config, sources, device, options.init)
    stream = _stream(options, config, sources, device)
    length, epoch = count_noun(config.steps, "step"), count_noun(stream.order.steps_per_epoch, "step")
    _tell(f"{folder}: {length} of {config.batch} clips, {epoch} an epoch")
    _tell_of_start(run, check)
    frames = config.encoder.window_frames
    with contextlib.closing(Prefetch(stream, device, frames, options.workers, config.steps)) as batches:
        finished = run.train(batches, pace, check)
        if isinstance(run.learner, MaskedAutoencoder) and ranks.is_main_process():
            draw(folder / "reconstructions.png", run.learner, config, sources.quantizer, batches.batch(0))
    _tell(f"{finished}: finished after {count_noun(run.step, 'step')}")


def _stream(
    options: argparse.Namespace, config: TrainConfig, sources: TrainingShards, device: torch.device
) -> WindowStream:
    for shards in sources.sets:
        left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(shards.left_out.items())) or "none"
        _tell(f"{shards.folder}: {count_noun(shards.clips, 'clip')}; left out: {left_out}")
    clips = open_clips(sources, options.resident, device)
    return WindowStream(clips, config.batch, config.encoder.window_frames, config.seed, config.max_frame_distance)


def _check(options: argparse.Namespace, config: TrainConfig) -> KnnValidation | None:
    if (options.check_store is None) != (options.check_task is None):
        raise InvalidInput("the online check needs both --check-store and --check-task: give the other, or neither")
    if options.check_store is None:
        return None
    store = MelStore.open(options.check_store)
    return KnnValidation.of(store, options.check_task, config.encoder.window_frames, config.mel)


def _tell_of_start(run: Run, check: KnnValidation | None) -> None:
    if run.taken:
        _tell(run.taken)
    if check is not None and run.step == 0 and ranks.is_main_process():
        accuracy = check.accuracy(run.learner.encoder, run.config.precision)
        _tell(f"online check: {check.name}: {accuracy:.3f} before the first step, {check.majority:.3f} by guessing")


def _tell(line: str) -> None:
    if ranks.is_main_process():
        print(line)


def _shards(store: Path) -> ShardSet:
    """The shards of `store` as it is now; the rank that writes makes them if need be, while the others wait."""
    if ranks.is_main_process():
        _make_shards(store)
    ranks.wait()
    return ShardSet.open(locations.shards(store))


def _make_shards(store: Path) -> None:
    """By the stage that makes them, in a process of its own, unless they are there."""
    wanted, folder = MelStore.open(store).digest(), locations.shards(store)
    try:
        if ShardSet.open(folder).store_digest == wanted:
            return
        print(f"{folder}: {store} has changed since they were made; making them again", flush=True)
    except (MissingArtifact, CorruptArtifact) as error:
        print(f"{error}; doing so", flush=True)
    made = subprocess.run([sys.executable, "-m", "pipeline.shard", "--", str(store)], check=False)
    if made.returncode:
        raise InvalidInput(f"`python -m pipeline.shard {store}` failed with status {made.returncode}")


def _config(options: argparse.Namespace, sources: TrainingShards) -> TrainConfig:
    return TrainConfig(
        encoder=_encoder(options),
        shards=sources.digest,
        mel=sources.mel_settings,
        samples=sources.samples,
        objective=_objective(options, sources),
        batch=options.batch,
        steps=options.steps,
        max_frame_distance=options.max_frame_distance,
        masking_ratio=options.masking_ratio,
        masking=options.masking,
        projection_width=options.projection_width,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        clip_gradient_norm=options.clip_gradient_norm,
        warmup_steps=options.warmup_steps,
        schedule=options.schedule,
        precision=fastest_precision() if options.precision == "auto" else options.precision,
        seed=options.seed,
        init=initialization.digest_of(options.init) if options.init else "",
    )


def _encoder(options: argparse.Namespace) -> EncoderConfig:
    """The preset, or it with another input scale, which its name then tells: other features are made with it."""
    chosen, scale = preset(options.preset), options.input_scale
    if scale in (None, chosen.input_scale):
        return chosen
    return replace(chosen, name=f"{chosen.name}-{scale}", input_scale=scale)


def _objective(options: argparse.Namespace, sources: TrainingShards) -> ObjectiveConfig:
    """The preset with what was given instead; the cosine of gamma takes half of the run, as FastCLIP advises."""
    chosen = preset_objective(options.objective)
    if chosen.gamma_schedule == "cosine":
        epochs = options.steps // max(1, sources.clips // max(1, options.batch))
        chosen = replace(chosen, gamma_decay_epochs=max(1, epochs // 2))
    return replace(chosen, **_objective_numbers(options))


def _objective_numbers(options: argparse.Namespace) -> dict[str, Any]:
    """Those that were given, by the names of their fields."""
    given = {name: getattr(options, name) for name in OBJECTIVE_NUMBERS}
    return {name: value for name, value in given.items() if value is not None}


def _require_objective_options(options: argparse.Namespace) -> None:
    """Refuse numbers that the objective does not read: they would change nothing, and bind all the same."""
    has = preset_objective(options.objective).options
    if unread := [name for name in _objective_numbers(options) if name not in has]:
        these = ", ".join(_flag(name) for name in has) or "none of these"
        raise InvalidInput(
            f"objective {options.objective} has no {' and no '.join(map(_flag, unread))}; it has {these}: leave out "
            "what it does not read, or choose another --objective"
        )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _open_run(
    folder: Path, config: TrainConfig, sources: TrainingShards, device: torch.device, init: Path | None
) -> Run:
    run = Run(folder, config, sources.quantizer, device, init)  # makes no folder: what it refuses leaves none
    if ranks.is_main_process():
        write_json(folder / "config.json", {**config.to_dict(), "store": sources.name})
    return run


if __name__ == "__main__":
    sys.exit(main())
