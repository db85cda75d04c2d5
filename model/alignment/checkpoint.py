"""The checkpoint of an unfinished alignment, `runs/NAME/alignment-checkpoint.safetensors`.

It holds everything that changes during training: weights, moments of the optimizer, and the memory of the objective. So
a resumed training gives the same bits as one without an interruption. All ranks hold the same state, and the main
process writes it. It is removed when the alignment is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from model.alignment.config import AdapterConfig
from model.encoder import tensor_file
from stores.errors import CorruptArtifact, InvalidInput

FORMAT = "myna-alignment-checkpoint-1"
FILE = "alignment-checkpoint.safetensors"
_ADVICE = "delete it to train from the start"


@dataclass(frozen=True)
class TrainingState:
    """The objects that change during training."""

    adapters: nn.Module
    """Adapters of both modalities."""
    objective: nn.Module
    """Objective with its memory of the pairs."""
    optimizer: Optimizer
    """Optimizer with its moments."""
    losses: list[float]
    """Mean loss of each epoch so far."""


def require_same(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Check that a file was made with the same settings and embeddings.

    Args:
        before: settings and digests that the file states.
        now: settings and digests of this command.
        path: the file.

    Raises:
        InvalidInput: they differ. The message names the differences.
    """
    if differing := [key for key in now if before.get(key) != now[key]]:
        values = "; ".join(f"{key}: {before.get(key)}, now {now[key]}" for key in differing)
        raise InvalidInput(f"{path} was trained with other {' and '.join(differing)} ({values}); choose another --name")


def save(path: Path, state: TrainingState, step: int, config: AdapterConfig, digests: Mapping[str, str]) -> None:
    """Write a checkpoint atomically.

    Args:
        path: file to write or replace.
        state: the state of the training.
        step: number of steps done.
        config: settings of the training.
        digests: digests of the embeddings of the pairs, by modality.
    """
    metadata = {"settings": {**config.to_dict(), **digests}, "step": step, "losses": state.losses}
    tensor_file.write(path, FORMAT, _tensors(state), metadata)


def restore(path: Path, state: TrainingState, config: AdapterConfig, digests: Mapping[str, str]) -> int:
    """Restore the state of a checkpoint bit for bit, and return the number of steps done, 0 without a checkpoint.

    Args:
        path: file of the checkpoint.
        state: the state at the start of the training, which is replaced.
        config: settings of the training.
        digests: digests of the embeddings of the pairs, by modality.

    Raises:
        InvalidInput: it was made with other settings or embeddings.
        CorruptArtifact: it is damaged.
    """
    if not path.is_file():
        return 0
    try:
        tensors, metadata = tensor_file.read(path, FORMAT)
        require_same(metadata["settings"], {**config.to_dict(), **digests}, path)
        step, losses = int(metadata["step"]), [float(loss) for loss in metadata["losses"]]
        if len(losses) != len(state.losses) or step < 1:
            raise ValueError(f"it states {step} steps and {len(losses)} epochs")
        _load(tensors, state)
    except (CorruptArtifact, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise CorruptArtifact(f"{path} is not a checkpoint that this version reads ({error}); {_ADVICE}") from error
    state.losses[:] = losses
    return step


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    tensors = {f"adapters.{name}": tensor for name, tensor in state.adapters.state_dict().items()}
    tensors |= {f"objective.{name}": tensor for name, tensor in state.objective.state_dict().items()}
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in moments.items()}
    return tensors


def _load(tensors: Mapping[str, Tensor], state: TrainingState) -> None:
    state.adapters.load_state_dict(_below("adapters", tensors))
    state.objective.load_state_dict(_below("objective", tensors))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _below("optimizer", tensors).items():
        place, _, moment = name.partition(".")
        moments.setdefault(int(place), {})[moment] = tensor
    for number, weight in enumerate(state.adapters.parameters()):
        if any(moments[number][name].shape != weight.shape for name in ("exp_avg", "exp_avg_sq")):
            raise ValueError(f"the moments of weight {number} have another shape")
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": moments})


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")
    }
