"""The work of `python -m model.train`: shards and settings become a run in `runs/NAME/`, with a finished encoder.

With `torchrun` it runs in every rank. The main process writes and prints, the others wait for it where they must.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from model.encoder import hub_models
from model.encoder.config import PRESETS, EncoderConfig, preset
from model.encoder.device import fastest_device, fastest_precision
from model.objectives.config import ObjectiveConfig
from model.objectives.config import preset as preset_objective
from model.training import continuation, initialization, metrics_log, ranks
from model.training.batch_prefetch import Prefetch
from model.training.config import (
    EncoderSettings,
    ObjectiveSettings,
    TrainConfig,
    TrainSettings,
    ValidationSettings,
    is_run_config,
)
from model.training.data_location import open_clips, require_device
from model.training.knn_validation import KnnValidation
from model.training.learner import MaskedAutoencoder
from model.training.loop import Run
from model.training.malloc_tuning import keep_freed_memory
from model.training.reconstructions import draw_reconstructions
from model.training.sources import TrainingShards
from model.training.stream import WindowStream
from stores import extras, locations, remote_link, shard_integrity, terminal
from stores.command_line import MAX_CONFIG_BYTES
from stores.commit import write_json
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.json_codec import read_json
from stores.json_output import print_json
from stores.labels import count_noun
from stores.mel_store import MelStore
from stores.shards import ShardSet

HELD_KEYS = ("store", "shards", "samples", "mel", "init")
"""Keys of a run's config.json that are not settings."""


def train(settings: TrainSettings) -> None:
    """Train an encoder, or continue its run, and print where it lies.

    Raises:
        InvalidInput, DigestMismatch: a setting cannot be used, the run was started with different ones, or another
            process trains it.
        MissingArtifact, CorruptArtifact: a store, its shards, or a checkpoint cannot be read.
    """
    device = fastest_device()
    keep_freed_memory()
    with ranks.process_group(device):
        _train(settings, device)


def resolve(settings: TrainSettings, sources: TrainingShards) -> TrainConfig:
    """Return the settings of the run: presets are resolved, and digests of data and initialization are added.

    Raises:
        InvalidInput: a preset is unknown, or a value is out of range.
    """
    _require_trained_encoder(settings)
    init = _init_checkpoint(settings.encoder)
    precision = settings.encoder.precision
    return TrainConfig(
        encoder=_encoder(settings.encoder, sources),
        shards=sources.digest,
        mel=sources.mel_settings,
        samples=sources.samples,
        objective=_objective(settings, sources),
        masking=settings.encoder.masking,
        precision=fastest_precision() if precision == "auto" else precision,
        init=initialization.checkpoint_digest(init) if init else "",
        **vars(settings.optimization),
    )


def _train(settings: TrainSettings, device: torch.device) -> None:
    _require_used(settings.objective)
    sources = TrainingShards(tuple(_shards(remote_link.store_path(store)) for store in settings.store))
    config = resolve(settings, sources)
    _require_same_data(settings.config, config, sources)
    folder = locations.run(settings.name or f"{sources.name}-{settings.encoder.preset}")
    continuation.require_config_file(folder)
    saved = continuation.saved_config(folder)
    if settings.objective.gamma_decay_epochs is None:
        config = continuation.keep_gamma_decay(config, saved)
    if continuation.is_finished(folder, saved, config):
        _print(f"{folder}: already finished")
        _print_result(settings, folder, config, {"new_steps": 0})
        return
    ranks.local_slice(config.batch)  # rejects a batch that the ranks cannot share before a folder is created
    require_device(settings.loading.resident, device)
    with ranks.write_lock_of_main_process(folder):
        extension = continuation.describe_extension(folder, saved, config)
        result = _train_in_folder(folder, settings, config, sources, device, extension)
        _print_result(settings, folder, config, result)


def _train_in_folder(
    folder: Path,
    settings: TrainSettings,
    config: TrainConfig,
    sources: TrainingShards,
    device: torch.device,
    extension: str,
) -> dict[str, Any]:
    """Train in the folder of the run, and return the number of new steps, and on a GPU the choice of its products."""
    validation = _validation(settings.validation, config)
    run = _open_run(folder, config, sources, device, _init_checkpoint(settings.encoder))
    first_step = run.step
    if extension:
        _print(extension)
    stream = _stream(settings, config, sources, device)
    length, epoch = count_noun(config.steps, "step"), count_noun(stream.sampler.steps_per_epoch, "step")
    _print(f"{folder}: {length} of {config.batch} clips, {epoch} per epoch")
    _print_start(run, validation)
    with contextlib.closing(_prefetch(settings, config, stream, device)) as batches:
        with ranks.step_timeout(settings.ranks.rank_timeout_seconds):
            encoder = run.train(batches, settings.logging, validation)
        if isinstance(run.model, MaskedAutoencoder) and ranks.is_main_process():
            _draw(folder / "reconstructions.png", run.model, config, sources, batches)
    _print(f"{encoder}: finished after {count_noun(run.step, 'step')}")
    products = [choice.to_dict() for choice in run.product_choices]
    return {"new_steps": run.step - first_step, **({"products": products} if products else {})}


def _draw(
    path: Path, model: MaskedAutoencoder, config: TrainConfig, sources: TrainingShards, batches: Prefetch
) -> None:
    """Draw a few reconstructions, or say what they need. A training that is finished does not fail because of them."""
    try:
        draw_reconstructions(path, model, config, sources.quantizer, batches.batch(0))
    except ModuleNotFoundError as error:
        reason = f"{error.name} is not installed; {extras.remedy('report')}"
        print(f"note: no {path.name}, because {reason}", file=sys.stderr)


def _prefetch(settings: TrainSettings, config: TrainConfig, stream: WindowStream, device: torch.device) -> Prefetch:
    return Prefetch(stream, device, config.encoder.window_frames, settings.loading.workers, config.steps)


def _stream(
    settings: TrainSettings, config: TrainConfig, sources: TrainingShards, device: torch.device
) -> WindowStream:
    for shards in sources.sets:
        omitted = ", ".join(f"{count} {reason}" for reason, count in sorted(shards.left_out.items())) or "none"
        _print(f"{remote_link.name_of(shards.folder)}: {count_noun(shards.clips, 'clip')}; left out: {omitted}")
    clips = open_clips(sources, settings.loading.resident, device)
    return WindowStream(clips, config.batch, config.encoder.window_frames, config.seed, config.max_frame_distance)


def _validation(settings: ValidationSettings, config: TrainConfig) -> KnnValidation | None:
    if (settings.check_store is None) != (settings.check_task is None):
        raise InvalidInput("k-NN validation needs both --check-store and --check-task; state the other, or neither")
    if settings.check_store is None or settings.check_task is None:
        return None
    store = MelStore.open(remote_link.store_path(settings.check_store))
    return KnnValidation.from_store(store, settings.check_task, config.encoder.window_frames, config.mel)


def _print_start(run: Run, validation: KnnValidation | None) -> None:
    if run.initialization_message:
        _print(run.initialization_message)
    if validation is not None and run.step == 0 and ranks.is_main_process():
        accuracy = validation.accuracy(run.model.encoder, run.config.precision)
        baseline = f"{validation.majority:.3f} for the most frequent class"
        _print(f"k-NN validation: {validation.name}: {accuracy:.3f} before the first step, {baseline}")


def _print_result(settings: TrainSettings, folder: Path, config: TrainConfig, call: Mapping[str, Any]) -> None:
    """Print the result with --json: the run, its length, facts about this call, and the last line of metrics."""
    if settings.json and ranks.is_main_process():
        rows = metrics_log.read(folder)
        result = {"run": folder.name, "encoder": str(folder / locations.ENCODER_FILE), "steps": config.steps}
        print_json({**result, **call, "metrics": rows[-1] if rows else {}})


def _print(line: str) -> None:
    if ranks.is_main_process():
        print(line)


def _shards(store: Path) -> ShardSet:
    """Return the shards of `store` as it is. The main process makes them if need be, while the other ranks wait."""
    if ranks.is_main_process():
        _make_shards(store)
    ranks.barrier()
    return ShardSet.open(locations.shards(store))


def _make_shards(store: Path) -> None:
    """Make the shards of `store` in a process of their own, unless they are there."""
    mel_store, folder = MelStore.open(store), locations.shards(store)
    try:
        change = shard_integrity.find_staleness(ShardSet.open(folder), mel_store)
        if not change:
            return
        print(f"{folder}: {store} has changed since these shards were made: {change}; making them again", flush=True)
    except (MissingArtifact, CorruptArtifact) as error:
        print(f"{error}; doing so", flush=True)
    words = [sys.executable, "-m", "pipeline.shard", *(["--quiet"] if terminal.is_quiet() else []), "--", str(store)]
    finished = subprocess.run(words, check=False, stdout=subprocess.PIPE, text=True)
    print(finished.stdout, end="", flush=True)
    if finished.returncode:
        raise InvalidInput(f"`python -m pipeline.shard {store}` failed with status {finished.returncode}")


def _encoder(settings: EncoderSettings, sources: TrainingShards) -> EncoderConfig:
    """Return the preset for the mels of the stores. With another input scale its name says so."""
    chosen, scale = preset(settings.preset), settings.input_scale
    if scale not in (None, chosen.input_scale):
        chosen = replace(chosen, name=f"{chosen.name}-{scale}", input_scale=scale)
    window_frames = settings.window_frames or chosen.window_frames
    replace(chosen, window_frames=window_frames)  # raises the error about patches
    try:
        return replace(chosen, n_mels=sources.n_mels, window_frames=window_frames)
    except InvalidInput as error:
        suitable = ", ".join(name for name, config in PRESETS.items() if _fits(config, sources.n_mels))
        raise InvalidInput(
            f"--preset {settings.preset} needs {chosen.n_mels} mel bins, but the mels of {sources.name} have "
            f"{sources.n_mels}: {error}; choose one of --preset {suitable}, or ingest the recordings again, into "
            f"another --store, with --n-mels {chosen.n_mels}"
        ) from error


def _fits(config: EncoderConfig, n_mels: int) -> bool:
    try:
        replace(config, n_mels=n_mels)
    except InvalidInput:
        return False
    return True


def _objective(settings: TrainSettings, sources: TrainingShards) -> ObjectiveConfig:
    """Return the preset with the stated numbers. The cosine of gamma takes half of the run, as FastCLIP advises."""
    chosen, optimization = preset_objective(settings.objective.objective), settings.optimization
    if chosen.gamma_schedule == "cosine":
        epochs = optimization.steps // max(1, sources.clips // optimization.batch)
        chosen = replace(chosen, gamma_decay_epochs=max(1, epochs // 2))
    return replace(chosen, **settings.objective.stated_numbers())


def _require_used(settings: ObjectiveSettings) -> None:
    """Reject numbers that the objective does not use: they would change nothing, and would still be recorded."""
    used = preset_objective(settings.objective).options
    if unused := [name for name in settings.stated_numbers() if name not in used]:
        accepted = ", ".join(map(_flag, used)) or "none of these"
        raise InvalidInput(
            f"{', '.join(map(_flag, unused))} {'is' if len(unused) == 1 else 'are'} not used by objective "
            f"{settings.objective} (it accepts {accepted}); leave out what is not used, or choose another --objective"
        )


def _require_trained_encoder(settings: TrainSettings) -> None:
    """Reject a number of frozen steps that trains the head on a random encoder, or never trains the encoder."""
    frozen, steps = settings.optimization.freeze_encoder_steps, settings.optimization.steps
    if frozen and not settings.encoder.init:
        raise InvalidInput("--freeze-encoder-steps needs --init, because a random encoder would stay random")
    if frozen >= steps:
        raise InvalidInput(
            f"--freeze-encoder-steps must be less than --steps, which is {steps}, because the encoder would not be "
            f"trained (got {frozen})"
        )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _init_checkpoint(settings: EncoderSettings) -> Path | None:
    return hub_models.find_checkpoint(settings.init, "--init").path if settings.init else None


def _require_same_data(path: Path | None, config: TrainConfig, sources: TrainingShards) -> None:
    """Check what a run's config.json holds besides settings: its stores, their mel, and its initialization.

    Raises:
        DigestMismatch: naming each that differs.
    """
    values = read_json(path, MAX_CONFIG_BYTES) if path else {}
    if not is_run_config(values):
        return
    actual: Mapping[str, Any] = {**config.to_dict(), "store": sources.name}
    held = [key for key in HELD_KEYS if key in values and values[key] != actual[key]]
    if held:
        differing = "\n".join(f"  {key}: {values[key] or 'none'} there, {actual[key] or 'none'} here" for key in held)
        raise DigestMismatch(
            f"{path} belongs to a run on other data or with another initialization; state the same --store and --init, "
            f"or leave --config out:\n{differing}"
        )


def _open_run(
    folder: Path, config: TrainConfig, sources: TrainingShards, device: torch.device, init: Path | None
) -> Run:
    run = Run(folder, config, sources.quantizer, device, init)  # creates no folder, so a rejected run leaves none
    if ranks.is_main_process():
        # of a run that is extended; its weights are in the newest checkpoint, from which it continues
        (folder / locations.ENCODER_FILE).unlink(missing_ok=True)
        write_json(folder / continuation.CONFIG_FILE, {**config.to_dict(), "store": sources.name})
    return run
