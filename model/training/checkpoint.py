"""Checkpoints: safetensors files with JSON in the header, never pickles.

runs/NAME/
  config.json                       the settings of the run
  metrics.jsonl                     one line of metrics per logged step
  checkpoint-00000800.safetensors   weights, optimizer and objective after 800 steps; only the newest ones are kept
  best.safetensors                  the best weights so far; see `model.training.best`
  encoder.safetensors               the final weights; the run is finished when this file exists
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from model.encoder import published_file, weight_checks
from model.encoder.vit import Encoder
from model.training import learner
from model.training.config import TrainConfig
from model.training.optimizer import moment_names, set_steps, updates_by_weight
from stores import safetensors_header
from stores.commit import atomic_write
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact, MynaError
from stores.json_codec import parse_json
from stores.safetensors_header import SafetensorsHeader

FORMAT = "myna-1"
_PATTERN = "checkpoint-????????.safetensors"
_STATE_PREFIXES = ("optimizer.", "objective.")


class SaveError(MynaError):
    """A file of a run could not be written; earlier files are unchanged."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file."""

    tensors: dict[str, Tensor]
    """Weights `encoder.NAME` and `linear_head.NAME` or `decoder.NAME`. A training checkpoint also has
    `optimizer.MOMENT.NAME`, and `objective.NAME` if the objective remembers clips."""
    config: TrainConfig
    """Settings of the run."""
    step: int
    """Number of steps done."""

    def build_encoder(self) -> Encoder:
        """Return the encoder with its weights, in evaluation mode.

        Raises:
            CorruptArtifact: the names or shapes of the tensors are not those of the encoder.
        """
        encoder = Encoder(self.config.encoder)
        _load_state(encoder, _without_prefix(self.tensors, "encoder."))
        return encoder.eval()


@dataclass(frozen=True)
class TrainingState:
    """The objects that change during training, besides the weights."""

    optimizer: Optimizer
    """Optimizer with one or more moments per weight."""
    objective: nn.Module
    """Objective with its memory of clips, if it has one."""


def save(
    path: Path,
    model: nn.Module,
    state: TrainingState | None,
    config: TrainConfig,
    step: int,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint atomically.

    Args:
        path: file to write.
        model: model with the weights.
        state: optimizer and objective, or None for a file with weights only.
        config: settings of the run.
        step: number of steps done.
        metadata: further entries of the header, which `read_header` returns.

    Raises:
        SaveError: the disk is full or not writable. The error names the newest checkpoint, from which the run can be
            resumed.
    """
    tensors = dict(model.state_dict())
    if state is not None:
        for name, weight in model.named_parameters():
            for moment in moment_names(state.optimizer):
                moments = state.optimizer.state.get(weight, {})  # empty as long as the weight is frozen
                tensors[f"optimizer.{moment}.{name}"] = moments.get(moment, torch.zeros_like(weight))
        tensors |= {f"objective.{name}": tensor for name, tensor in state.objective.state_dict().items()}
    settings = {"config": json.dumps(config.to_dict()), "config_digest": config.digest()}
    header = {**(metadata or {}), "format": FORMAT, "step": str(step), **settings}
    try:
        with atomic_write(path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata=header)
            safetensors_header.sort_metadata(temporary)
    except (OSError, SafetensorError) as error:  # safetensors wraps errors of the file system
        raise save_error(path, error) from error


def save_error(path: Path, error: Exception) -> SaveError:
    """Return the error for a file `path` that could not be written; it names the newest checkpoint of the run."""
    return SaveError(
        f"{path} could not be written: {error}; newest checkpoint: {newest(path.parent) or 'none yet'} (all earlier "
        "files are unchanged); free disk space and run the same command again to resume"
    )


def read_header(path: Path) -> Mapping[str, str]:
    """Return the entries of a checkpoint's header without reading its tensors.

    Raises:
        CorruptArtifact: the file is not a safetensors file.
    """
    try:
        return safetensors_header.read(path).metadata
    except OSError as error:
        raise CorruptArtifact(f"{path} cannot be read: {error}") from error


def read_config(path: Path) -> TrainConfig:
    """Return the settings of the run in the header of a checkpoint, without reading its tensors.

    Raises:
        CorruptArtifact: the file is not a checkpoint of this version.
    """
    return _run_of(read_header(path), path)[0]


def read_step(path: Path) -> int:
    """Return the number of steps that a checkpoint's header states, without reading its tensors.

    Raises:
        CorruptArtifact: the file is not a checkpoint of this version.
    """
    return _run_of(read_header(path), path)[1]


def is_of_this_project(path: Path) -> bool:
    """Return whether a file is a checkpoint of `model.train`, by its header.

    Raises:
        CorruptArtifact: the file is the pointer of git-LFS, or a damaged safetensors file.
    """
    published_file.require_no_pointer(path)
    if path.suffix != ".safetensors" and not published_file.is_safetensors(path):
        return False
    return safetensors_header.read(path).metadata.get("format", "").startswith("myna-")


def load(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. Its header is compared with its settings before a tensor is read.

    Raises:
        MissingArtifact: there is no such file.
        CorruptArtifact: the file is not a checkpoint of this version, its weights do not fit its settings, or they are
            not finite.
    """
    if not path.is_file():
        raise MissingArtifact(f"no checkpoint at {path}; train one with `python -m model.train --store STORE`")
    header = safetensors_header.read(path)
    config, step = _run_of(header.metadata, path)
    _require_weights(header, config, path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in header.tensors}
    except SafetensorError as error:
        raise CorruptArtifact(f"{path} is not a safetensors file: {error}") from error
    numbers = {name: tensor for name, tensor in tensors.items() if not name.startswith("objective.")}
    weight_checks.require_finite(numbers, path)
    return Checkpoint(tensors, config, step)


def _run_of(header: Mapping[str, str], path: Path) -> tuple[TrainConfig, int]:
    """Return the settings and the number of steps that a header states."""
    if header.get("format") != FORMAT:
        raise CorruptArtifact(f"{path} is not a Myna checkpoint (format {header.get('format')!r}, needed {FORMAT!r})")
    try:
        config, step = TrainConfig.from_dict(parse_json(header["config"])), int(header["step"])
    except (KeyError, TypeError, ValueError, InvalidInput) as error:
        raise CorruptArtifact(f"{path} has settings that this version cannot use: {error}") from error
    if not 0 <= step <= config.steps:
        raise CorruptArtifact(f"{path} was saved after {step} steps, but its run has 0 to {config.steps}")
    return config, step


def _require_weights(header: SafetensorsHeader, config: TrainConfig, path: Path) -> None:
    weights = {name: entry for name, entry in header.tensors.items() if not name.startswith(_STATE_PREFIXES)}
    weight_checks.require_entries(weights, learner.shapes(config), path)


def restore(checkpoint: Checkpoint, model: nn.Module, state: TrainingState) -> None:
    """Restore weights, moments and the objective's memory of clips bit for bit.

    Raises:
        CorruptArtifact: a tensor is missing or has the wrong shape.
    """
    weights = {name: value for name, value in checkpoint.tensors.items() if not name.startswith(_STATE_PREFIXES)}
    _load_state(model, weights)
    _load_state(state.objective, _without_prefix(checkpoint.tensors, "objective."))
    optimizer, updates = state.optimizer, updates_by_weight(state.optimizer, checkpoint.step)
    for name, weight in model.named_parameters():
        moments = {
            moment: _moment(checkpoint, f"optimizer.{moment}.{name}", weight) for moment in moment_names(optimizer)
        }
        if updates[weight]:
            optimizer.state[weight] = moments
    set_steps(optimizer, checkpoint.step)


def path_of(folder: Path, step: int) -> Path:
    """Return the path of the training checkpoint after `step` steps."""
    return folder / f"checkpoint-{step:08d}.safetensors"


def newest(folder: Path) -> Path | None:
    """Return the training checkpoint with the most steps, or None."""
    return max(folder.glob(_PATTERN), default=None)


def remove_old(folder: Path, keep: int) -> None:
    """Remove all training checkpoints but the newest `keep`, and never the newest one."""
    for path in sorted(folder.glob(_PATTERN))[: -max(1, keep)]:
        path.unlink()


def _without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _moment(checkpoint: Checkpoint, name: str, weight: Tensor) -> Tensor:
    """Return the tensor `name` of the checkpoint on the device of `weight`, whose shape it must have."""
    tensor = checkpoint.tensors.get(name)
    if tensor is None or tensor.shape != weight.shape:
        raise CorruptArtifact(f"the checkpoint has no {name} of shape {list(weight.shape)}, so it cannot be resumed")
    return tensor.to(weight.device)


def _load_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise CorruptArtifact(f"the tensors of the checkpoint do not fit: {error}") from error
