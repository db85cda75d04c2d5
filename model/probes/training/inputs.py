"""Probe inputs: the clips of a task as tensors, standardized or not, and the batches with dropout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from model.probes import musical_keys
from model.probes.config import ProbeConfig
from model.probes.feature_moments import mean_and_deviation
from model.probes.task import Task
from model.probes.training import losses
from model.probes.training.batched_mlp import ProbeBatch
from model.probes.training.losses import Gradient, Score
from stores import mapped_array

_BLOCK_ROWS = 4_096


@dataclass(frozen=True)
class TaskTensors:
    """The training and validation clips of a task on a device, with its loss and its validation score."""

    train: Tensor
    """Features of the training clips, float32 `[clips, D]`."""
    targets: Tensor
    """Targets of the training clips, float32 `[clips, C]`."""
    valid: Tensor
    """Features of the validation clips, float32 `[clips, D]`."""
    gradient: Gradient
    """Gradient of the loss with respect to the outputs."""
    score: Score
    """Score of outputs for the validation clips."""

    @cached_property
    def scaler(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation `[D]` of the training clips. The deviation of a constant feature is set to 1."""
        mean, deviation = mean_and_deviation(self.train)
        return mean.float(), torch.where(deviation > 0, deviation, 1).float()


def task_tensors(task: Task, device: torch.device) -> TaskTensors:
    """Return the training and validation clips of a task as tensors on `device`."""
    kind = task.kind if task.kind in losses.GRADIENTS else "classes"
    return TaskTensors(
        train=torch.from_numpy(task.splits["train"].features).to(device),
        targets=torch.from_numpy(task.target_matrix("train")).to(device),
        valid=torch.from_numpy(task.splits["valid"].features).to(device),
        gradient=losses.GRADIENTS[kind],
        score=_validation_score(task, device),
    )


def _validation_score(task: Task, device: torch.device) -> Score:
    valid = task.splits["valid"]
    if task.kind in ("tags", "numbers"):
        score = losses.TagScore if task.kind == "tags" else losses.RegressionScore
        return score(torch.from_numpy(valid.targets).to(device))
    credit = musical_keys.credit_matrix(task.classes) if task.kind == "key" else np.eye(len(task.classes))
    if valid.songs is None:
        return losses.ClassScore(torch.from_numpy(credit[valid.targets]).to(device), None)
    _, first_clips = np.unique(valid.songs, return_index=True)
    songs = torch.from_numpy(valid.songs).to(device)
    ranks = torch.from_numpy(musical_keys.label_ranks(task.classes)).to(device)
    return losses.ClassScore(torch.from_numpy(credit[valid.targets[first_clips]]).to(device), songs, ranks)


class ProbeInputs:
    """The inputs of a stack of probes.

    Probes with the same standardization and dropout rate read the same numbers, because they share their random bytes.
    If this holds for the whole stack, all its probes read a single copy. Where all copies together would be larger than
    `mapped_array.MAX_RAM_BYTES`, there is none, and each batch is standardized when it is needed.
    """

    def __init__(self, configs: Sequence[ProbeConfig], task: TaskTensors, precision: torch.dtype) -> None:
        """Prepare the features once for each combination of standardization and dropout.

        Args:
            configs: settings of the probes.
            task: training and validation clips.
            precision: type of the features in the batches.
        """
        combinations = [(config.standardised, config.dropout_threshold, config.dropout) for config in configs]
        distinct = sorted(set(combinations))
        self._task, self._feature_thresholds = task, [threshold for _, threshold, _ in distinct]
        self._distinct, self._precision = distinct, precision
        fits_memory = len(distinct) * (task.train.nbytes + task.valid.nbytes) <= mapped_array.MAX_RAM_BYTES
        self._train = [self._scaled(task.train, place) for place in range(len(distinct))] if fits_memory else []
        self._valid = [_standardized(task, task.valid, each[0]) for each in distinct] if fits_memory else []
        self._scale = task.train.new_tensor([1 / (1 - dropout) for _, _, dropout in distinct]).view(-1, 1, 1)
        self._hidden_thresholds = torch.tensor(self._feature_thresholds, device=task.train.device).view(-1, 1, 1)
        places = [distinct.index(combination) for combination in combinations]
        self._combination = torch.tensor(places, device=task.train.device)

    def select(self, rows: Sequence[int]) -> None:
        """Discard the inputs of all other probes."""
        self._combination = self._combination[list(rows)]

    def valid(self) -> Iterator[Tensor]:
        """Yield the features of the validation clips, `[1 or probes, clips, D]`, in blocks if they are many."""
        if self._valid:
            yield self._per_probe(torch.stack(self._valid))
            return
        for block in torch.split(self._task.valid, _BLOCK_ROWS):
            scaled = [_standardized(self._task, block, standardized) for standardized, _, _ in self._distinct]
            yield self._per_probe(torch.stack(scaled))

    def batch(self, clips: Tensor, feature_bytes: Tensor, hidden_bytes: Tensor) -> ProbeBatch:
        """Return the batch of one step.

        Args:
            clips: indices of the clips, `[B]`.
            feature_bytes: random bytes for dropout of the features, `[B, D]`.
            hidden_bytes: random bytes for dropout of the hidden units, `[B, H]`.
        """
        features = [
            self._train_clips(place, clips).mul_((feature_bytes >= threshold).view(torch.uint8))
            for place, threshold in enumerate(self._feature_thresholds)
        ]
        return ProbeBatch(
            features=self._per_probe(torch.stack(features)),
            targets=self._task.targets.index_select(0, clips),
            hidden_mask=self._per_probe((hidden_bytes >= self._hidden_thresholds).view(torch.uint8)),
            hidden_scale=self._per_probe(self._scale),
        )

    def _train_clips(self, place: int, clips: Tensor) -> Tensor:
        """Return training clips for a combination, from the copy in memory if there is one, with the same bits."""
        if self._train:
            return self._train[place].index_select(0, clips)
        return self._scaled(self._task.train.index_select(0, clips), place)

    def _scaled(self, features: Tensor, place: int) -> Tensor:
        """Return features that are standardized for a combination, and scaled in advance for its dropout."""
        standardized, _, dropout = self._distinct[place]
        return (_standardized(self._task, features, standardized) / (1 - dropout)).to(self._precision)

    def _per_probe(self, combinations: Tensor) -> Tensor:
        """Return `[probes, ...]` from `[combinations, ...]`, or the tensor itself if there is one combination."""
        return combinations if len(combinations) == 1 else combinations.index_select(0, self._combination)


def _standardized(task: TaskTensors, features: Tensor, standardized: bool) -> Tensor:
    if not standardized:
        return features
    mean, deviation = task.scaler
    return (features - mean) / deviation
