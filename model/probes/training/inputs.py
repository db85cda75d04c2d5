"""The clips of a task as stacks read them: standardised or not, drawn, and thinned by dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from model.probes import musical_keys
from model.probes.config import ProbeConfig
from model.probes.task import Task
from model.probes.training import losses
from model.probes.training.batched_mlp import ProbeBatch
from model.probes.training.losses import Gradient, Score


@dataclass(frozen=True)
class ProbeClips:
    """The clips of a task as a stack reads them, on its device."""

    train: Tensor
    """Features of the training clips, float32 `[clips, D]`."""
    targets: Tensor
    """Of the training clips, float32 `[clips, C]`."""
    valid: Tensor
    """Features of the validation clips, `[clips, D]`."""
    gradient: Gradient
    """Of the loss."""
    score: Score
    """Of the validation clips."""

    @cached_property
    def scaler(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation `[D]` of the training clips; a feature that never changes has deviation 1."""
        double = self.train.double()
        deviation = double.std(0, correction=0)
        return double.mean(0).float(), torch.where(deviation > 0, deviation, 1).float()


def probe_clips(task: Task, device: torch.device) -> ProbeClips:
    """The training and validation clips of a task, and what its outputs mean."""
    valid = task.splits["valid"]
    kind = task.kind if task.kind in losses.GRADIENTS else "classes"
    return ProbeClips(
        train=torch.from_numpy(task.splits["train"].features).to(device),
        targets=torch.from_numpy(task.matrix("train")).to(device),
        valid=torch.from_numpy(valid.features).to(device),
        gradient=losses.GRADIENTS[kind],
        score=_score(task, device),
    )


def _score(task: Task, device: torch.device) -> Score:
    valid = task.splits["valid"]
    if task.kind in ("tags", "numbers"):
        made = losses.TagScore if task.kind == "tags" else losses.NumberScore
        return made(torch.from_numpy(valid.targets).to(device))
    credit = musical_keys.credit(task.classes) if task.kind == "key" else np.eye(len(task.classes))
    if valid.songs is None:
        return losses.ClassScore(torch.from_numpy(credit[valid.targets]).to(device), None)
    _, first = np.unique(valid.songs, return_index=True)
    songs = torch.from_numpy(valid.songs).to(device)
    return losses.ClassScore(torch.from_numpy(credit[valid.targets[first]]).to(device), songs)


class ProbeInputs:
    """What each probe of a stack reads.

    Probes that agree in standardisation and dropout read the same numbers, for they share their random bytes. If all of
    a stack do, they read one copy of them.
    """

    def __init__(self, configs: Sequence[ProbeConfig], clips: ProbeClips, precision: torch.dtype) -> None:
        """Prepare the features, scaled for dropout, once for each kind of input; in `precision`."""
        kinds = [(one.standardised, one.dropped_bytes, one.dropout) for one in configs]
        distinct = sorted(set(kinds))
        self._clips, self._dropped = clips, [dropped for _, dropped, _ in distinct]
        self._train = [
            (_read(clips, clips.train, standardised) / (1 - dropout)).to(precision)
            for standardised, _, dropout in distinct
        ]
        self._valid = [_read(clips, clips.valid, standardised) for standardised, _, _ in distinct]
        self._scale = clips.train.new_tensor([1 / (1 - dropout) for _, _, dropout in distinct]).view(-1, 1, 1)
        self._thresholds = torch.tensor(self._dropped, device=clips.train.device).view(-1, 1, 1)
        self._kind_of = torch.tensor([distinct.index(kind) for kind in kinds], device=clips.train.device)

    def keep(self, rows: Sequence[int]) -> None:
        """Forget what all probes but these read."""
        self._kind_of = self._kind_of[list(rows)]

    def valid(self) -> Tensor:
        """Features of the validation clips, `[1 or probes, clips, D]`."""
        return self._for_each(torch.stack(self._valid))

    def batch(self, chosen: Tensor, feature_bytes: Tensor, hidden_bytes: Tensor) -> ProbeBatch:
        """One step's batch, of the clips `chosen` `[B]`, with random bytes `[B, D]` and `[B, H]`."""
        kept = [
            train.index_select(0, chosen).mul_((feature_bytes >= dropped).view(torch.uint8))
            for train, dropped in zip(self._train, self._dropped, strict=True)
        ]
        return ProbeBatch(
            features=self._for_each(torch.stack(kept)),
            targets=self._clips.targets.index_select(0, chosen),
            kept=self._for_each((hidden_bytes >= self._thresholds).view(torch.uint8)),
            scale=self._for_each(self._scale),
        )

    def _for_each(self, kinds: Tensor) -> Tensor:
        return kinds if len(kinds) == 1 else kinds.index_select(0, self._kind_of)


def _read(clips: ProbeClips, features: Tensor, standardised: bool) -> Tensor:
    if not standardised:
        return features
    mean, deviation = clips.scaler
    return (features - mean) / deviation
