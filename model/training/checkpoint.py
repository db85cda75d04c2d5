"""Checkpoints: safetensors with JSON in the header, never a pickle.

runs/NAME/
  config.json                    the run's resolved settings
  metrics.jsonl                  one line per logged step
  checkpoint-00000800.safetensors   weights, optimizer and objective after 800 steps; the last few are kept
  best.safetensors               the weights that were best so far; see `model.training.best`
  encoder.safetensors            the finished encoder; its presence says that the run is finished
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from model.encoder.vit import Encoder
from model.training.config import TrainConfig
from model.training.optimizer import moments, set_steps
from stores.commit import atomic_write
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact, MynaError

FORMAT = "myna-1"


class SaveError(MynaError):
    """The file system did not take what a run wrote; what lay there before is as it was."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    tensors: dict[str, Tensor]
    """`encoder.NAME`, `linear_head.NAME` or `decoder.NAME`; for training also `optimizer.MOMENT.NAME`, and
    `objective.NAME` where it remembers clips."""
    config: TrainConfig
    """The run's settings."""
    step: int
    """Steps done."""

    def build_encoder(self) -> Encoder:
        """The encoder with its weights, in evaluation mode.

        Raises:
            CorruptArtifact: if names or shapes are not the encoder's.
        """
        encoder = Encoder(self.config.encoder)
        _load(encoder, _without_prefix(self.tensors, "encoder."))
        return encoder.eval()


@dataclass(frozen=True)
class TrainingState:
    """What changes while a run trains, besides the weights."""

    optimizer: Optimizer
    """With a moment or more for each weight."""
    objective: nn.Module
    """With what it remembers of clips, if anything."""


def save(
    path: Path,
    learner: nn.Module,
    progress: TrainingState | None,
    config: TrainConfig,
    step: int,
    remarks: Mapping[str, str] | None = None,
) -> None:
    """Write the learner, the progress if given, and remarks that `header` reads, atomically.

    Raises:
        NotSaved: the disk is full or cannot be written; names the newest checkpoint, from which the run can go on.
    """
    tensors = dict(learner.state_dict())
    if progress is not None:
        for name, weight in learner.named_parameters():
            for moment in moments(progress.optimizer):
                tensors[f"optimizer.{moment}.{name}"] = progress.optimizer.state[weight][moment]
        tensors |= {f"objective.{name}": tensor for name, tensor in progress.objective.state_dict().items()}
    facts = {"config": json.dumps(config.to_dict()), "config_digest": config.digest()}
    header = {**(remarks or {}), "format": FORMAT, "step": str(step), **facts}
    try:
        with atomic_write(path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata=header)
    except (OSError, SafetensorError) as error:  # the library wraps what the system says
        raise not_saved(path, error) from error


def not_saved(path: Path, error: Exception) -> SaveError:
    """The error that says that `path` could not be written, and what of its run is kept."""
    return SaveError(
        f"{path} could not be written: {error}; kept, as they were: {newest(path.parent) or 'no checkpoint yet'} and "
        "all files before it; make room and give the same command again, it goes on from there"
    )


def header(path: Path) -> dict[str, str]:
    """What the header of a checkpoint says, without reading its tensors.

    Raises:
        CorruptArtifact: no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CorruptArtifact(f"{path} is not a safetensors file: {error}") from error


def load(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        MissingArtifact: no file there.
        CorruptArtifact: no checkpoint of this version.
    """
    if not path.is_file():
        raise MissingArtifact(f"no checkpoint at {path}; train one with `python -m model.train --store STORE`")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- it is no dict
    except SafetensorError as error:
        raise CorruptArtifact(f"{path} is not a safetensors file: {error}") from error
    if header.get("format") != FORMAT:
        raise CorruptArtifact(f"{path} is not a Myna checkpoint (format {header.get('format')!r}, needed {FORMAT!r})")
    try:
        return Checkpoint(tensors, TrainConfig.from_dict(json.loads(header["config"])), int(header["step"]))
    except (KeyError, TypeError, ValueError, InvalidInput) as error:
        raise CorruptArtifact(f"{path} has settings that this version cannot use: {error}") from error


def restore(checkpoint: Checkpoint, learner: nn.Module, progress: TrainingState) -> None:
    """Put weights, moments and what is remembered of clips back, bit for bit.

    Raises:
        CorruptArtifact: if tensors are missing or do not fit.
    """
    progressed = ("optimizer.", "objective.")
    _load(learner, {name: tensor for name, tensor in checkpoint.tensors.items() if not name.startswith(progressed)})
    _load(progress.objective, _without_prefix(checkpoint.tensors, "objective."))
    optimizer = progress.optimizer
    for name, weight in learner.named_parameters():
        optimizer.state[weight] = {
            moment: _fitting(checkpoint, f"optimizer.{moment}.{name}", weight) for moment in moments(optimizer)
        }
    set_steps(optimizer, checkpoint.step)


def path_of(folder: Path, step: int) -> Path:
    """Where the training checkpoint after `step` steps lies."""
    return folder / f"checkpoint-{step:08d}.safetensors"


def newest(folder: Path) -> Path | None:
    """The training checkpoint with the most steps, or None."""
    return max(folder.glob("checkpoint-????????.safetensors"), default=None)


def drop_old(folder: Path, keep: int) -> None:
    """Keep the last `keep` training checkpoints, at least one."""
    for path in sorted(folder.glob("checkpoint-????????.safetensors"))[: -max(1, keep)]:
        path.unlink()


def drop_half_written(folder: Path) -> None:
    """Remove what a kill left of files that were being saved."""
    for path in folder.glob(".*.tmp-*"):
        path.unlink()


def _without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _fitting(checkpoint: Checkpoint, name: str, parameter: Tensor) -> Tensor:
    tensor = checkpoint.tensors.get(name)
    if tensor is None or tensor.shape != parameter.shape:
        raise CorruptArtifact(f"the checkpoint has no {name} of shape {list(parameter.shape)}; it cannot be continued")
    return tensor.to(parameter.device)


def _load(module: nn.Module, state: Mapping[str, Any]) -> None:
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise CorruptArtifact(f"what the checkpoint holds does not fit: {error}") from error
