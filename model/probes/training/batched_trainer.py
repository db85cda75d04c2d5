"""Batched trainer: trains a stack of probes together until each has stopped.

A stack consists of probes with the same seed, batch size and architecture. An interval is `EVALUATE_EVERY_STEPS` steps,
and an evaluation of the validation score comes before each interval and after the last one. A probe stops after
`patience` evaluations in a row without a better score. Its best weights are used. It then leaves the stack, so that the
remaining probes train faster. The host waits for the device once per interval, for the scores.

On a CPU, a few probes at a time take all steps of an interval, so that they stay in the core's cache. A hidden layer
for 768 features takes 6 MB with its moments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.probes.config import EVALUATE_EVERY_STEPS, Grid, ProbeConfig
from model.probes.training.batched_adam import BatchedAdam
from model.probes.training.batched_mlp import MlpWeights, ProbeBatch
from model.probes.training.inputs import ProbeInputs, TaskTensors
from model.probes.training.sampling import BatchSampler

_CACHE_BYTES = 8 << 20  # budget for weights, gradients and moments of the probes that a core trains at a time


@dataclass(frozen=True)
class TrainedProbe:
    """The result of training one probe."""

    config: ProbeConfig
    """Settings of the probe."""
    score: float
    """Best validation score, or -inf if no score was finite."""
    best_step: int
    """Number of steps before the evaluation with the best score."""
    steps: int
    """Number of steps in all."""
    stopped: str
    """Reason why training stopped: `patience`, `limit` (of evaluations), or `diverged` (outputs are not finite)."""


class BatchedTrainer:
    """Trains one stack. All its probes have the same seed, batch size and hidden layers."""

    def __init__(
        self, configs: Sequence[ProbeConfig], task: TaskTensors, grid: Grid, precision: torch.dtype = torch.float32
    ) -> None:
        """Initialize the weights.

        Args:
            configs: settings of the probes.
            task: training and validation clips.
            grid: patience and limit of evaluations.
            precision: type in which the products of a hidden layer are computed.
        """
        first, self.task, self.grid = configs[0], task, grid
        self.configs, self.interval = list(configs), 0
        self._places = list(range(len(configs)))  # order in the grid, which decides between equal scores
        self._sampler = BatchSampler(first.seed, first.batch, len(task.train))
        self._hidden_units = sum(first.hidden_widths)
        self._precision = precision if first.hidden_widths else torch.float32
        widths = [task.train.shape[1], *first.hidden_widths, task.targets.shape[1]]
        self.weights = MlpWeights.initialize([config.seed for config in configs], widths, task.train.device)
        self._best_weights = self.weights.select(list(range(len(configs))))
        self._adam = BatchedAdam(
            self.weights.tensors, [config.learning_rate for config in configs], [config.l2 for config in configs]
        )
        self.scores = np.full(len(configs), -math.inf)
        self._best_interval = np.zeros(len(configs), np.int64)
        self._inputs = ProbeInputs(self.configs, task, self._precision)
        self.winner: tuple[TrainedProbe, MlpWeights] | None = None
        self._winner_rank = (math.inf, len(configs))

    def train(self, on_evaluation: Callable[[int, float], None] = lambda _stopped, _best: None) -> list[TrainedProbe]:
        """Train until all probes have stopped, and return their results in the order in which they stopped.

        Args:
            on_evaluation: called after every evaluation with the number of probes that it stopped and the best score so
                far. An exception that it raises ends the training.
        """
        stopped: list[TrainedProbe] = []
        best = -math.inf
        while self.configs:
            just_stopped = self._evaluate_and_stop()
            stopped += just_stopped
            best = max([best, *self.scores, *(trained.score for trained in just_stopped)])
            on_evaluation(len(just_stopped), best)
            if self.configs:
                self.train_interval()
        return stopped

    @torch.no_grad()
    def train_interval(self) -> None:
        """Take the steps between two evaluations."""
        batches = self._batches()
        for rows in self._blocks():
            weights = self.weights.select(rows)
            for place, batch in enumerate(batches):
                gradients = weights.gradients(batch.select(rows), self.task.gradient, self._precision)
                step = self.interval * EVALUATE_EVERY_STEPS + place + 1
                self._adam.step(self.weights.tensors, gradients, rows, step)
        self.interval += 1

    @torch.no_grad()
    def evaluate(self) -> NDArray[np.float64]:
        """Return the validation score of each probe, `[probes]`."""
        blocks = [self.weights.outputs(block, self._precision) for block in self._inputs.valid()]
        outputs = torch.cat(blocks, dim=1) if len(blocks) > 1 else blocks[0]
        scores: NDArray[np.float64] = self.task.score(outputs).double().cpu().numpy()
        return scores

    def _evaluate_and_stop(self) -> list[TrainedProbe]:
        """Evaluate, keep the weights of probes that improved, and remove and return the probes that have stopped."""
        scores = self.evaluate()
        improved = np.flatnonzero(scores > self.scores)
        self.scores[improved], self._best_interval[improved] = scores[improved], self.interval
        if len(improved):
            rows = torch.from_numpy(improved).to(self.task.train.device)
            for best, current in zip(self._best_weights.tensors, self.weights.tensors, strict=True):
                best.index_copy_(0, rows, current.index_select(0, rows))
        reasons = [self._reason_to_stop(row, scores[row]) for row in range(len(scores))]
        stopped = [self._result(row, reason) for row, reason in enumerate(reasons) if reason]
        if stopped:
            self._select([row for row, reason in enumerate(reasons) if not reason])
        return stopped

    def _reason_to_stop(self, row: int, score: float) -> str:
        """Return the reason why a probe stops, or an empty text if it continues."""
        if not math.isfinite(score):
            return "diverged"
        if self.interval - self._best_interval[row] >= self.grid.patience:
            return "patience"
        return "limit" if self.interval >= self.grid.max_evaluations else ""

    def _result(self, row: int, reason: str) -> TrainedProbe:
        """Return the result of a probe that stops. If it is the best one so far, remember its weights."""
        best_step, steps = (int(count) * EVALUATE_EVERY_STEPS for count in (self._best_interval[row], self.interval))
        trained = TrainedProbe(self.configs[row], float(self.scores[row]), best_step, steps, reason)
        if (rank := (-trained.score, self._places[row])) < self._winner_rank:
            self.winner, self._winner_rank = (trained, self._best_weights.select([row])), rank
        return trained

    def _select(self, rows: list[int]) -> None:
        self.configs, self._places = [self.configs[row] for row in rows], [self._places[row] for row in rows]
        self.scores, self._best_interval = self.scores[rows], self._best_interval[rows]
        self.weights, self._best_weights = self.weights.select(rows), self._best_weights.select(rows)
        if rows:
            self._adam.select(rows)
            self._inputs.select(rows)

    def _blocks(self) -> list[slice]:
        """Return the probes that are trained at a time: on a CPU as many as fit into the cache, else all."""
        count = size = len(self.configs)
        if self._hidden_units and self.task.train.device.type == "cpu":
            size = max(1, _CACHE_BYTES // (16 * self.weights.elements_per_probe()))
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def _batches(self) -> list[ProbeBatch]:
        device, sampler = self.task.train.device, self._sampler
        clips = torch.from_numpy(sampler.clip_indices(self.interval)).to(device)
        inputs = torch.from_numpy(sampler.input_bytes(self.interval, self.task.train.shape[1])).to(device)
        hidden = torch.from_numpy(sampler.hidden_bytes(self.interval, max(1, self._hidden_units))).to(device)
        return [self._inputs.batch(*step) for step in zip(clips, inputs, hidden, strict=True)]
