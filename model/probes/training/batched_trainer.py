"""A stack: probes of one seed, batch size and architecture, trained together until each has stopped.

A round is `EVALUATE_EVERY_STEPS` steps and one look at the validation score. A probe stops when `patience` looks in a
row have brought nothing better; its best weights are what counts, and it leaves the stack, so that those that go on
cost less. The host waits for the device once a round, for the scores.

On a CPU a hidden layer of 768 features and its moments are 6 MB: a few probes at a time take all steps of a round, so
that they stay in the core's cache.
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
from model.probes.training.inputs import ProbeClips, ProbeInputs
from model.probes.training.sampling import BatchSampler

_CACHE_BYTES = 8 << 20  # for weights, gradient and moments of the probes that a core works on


@dataclass(frozen=True)
class TrainedProbe:
    """What became of one probe."""

    config: ProbeConfig
    """Its settings."""
    score: float
    """Its best validation score; -inf if it never had a finite one."""
    best_step: int
    """Steps it had taken then."""
    steps: int
    """Steps it took."""
    stopped: str
    """`patience`, `limit` (of evaluations), or `diverged` (outputs that are not finite)."""


class BatchedTrainer:
    """See the module; all `configs` share seed, batch size and hidden units."""

    def __init__(
        self, configs: Sequence[ProbeConfig], clips: ProbeClips, grid: Grid, precision: torch.dtype = torch.float32
    ) -> None:
        """Begin; the products of a hidden layer are computed in `precision`."""
        first, self.clips, self.grid = configs[0], clips, grid
        self.configs, self.round = list(configs), 0
        self._places = list(range(len(configs)))  # in the order given, which decides ties
        self._stream = BatchSampler(first.seed, first.batch, len(clips.train))
        self._hidden, self._precision = first.hidden, precision if first.hidden else torch.float32
        widths = [width for width in (clips.train.shape[1], first.hidden, clips.targets.shape[1]) if width]
        self.weights = MlpWeights.start([one.seed for one in configs], widths, clips.train.device)
        self._best = self.weights.rows(list(range(len(configs))))
        self._adam = BatchedAdam(
            self.weights.tensors, [one.learning_rate for one in configs], [one.l2 for one in configs]
        )
        self.scores = np.full(len(configs), -math.inf)
        self._best_round = np.zeros(len(configs), np.int64)
        self._inputs = ProbeInputs(self.configs, clips, self._precision)
        self.champion: tuple[TrainedProbe, MlpWeights] | None = None
        self._champion_rank = (math.inf, len(configs))

    def train(self, tell: Callable[[int, float], None] = lambda _ended, _best: None) -> list[TrainedProbe]:
        """Train all probes until they have stopped; in the order they stopped.

        Args:
            tell: called at every look with how many probes ended there, and the best score so far; what it raises
                ends the training.
        """
        done: list[TrainedProbe] = []
        best = -math.inf
        while self.configs:
            before = len(done)
            done += self._look()
            best = max([best, *self.scores, *(one.score for one in done[before:])])
            tell(len(done) - before, best)
            if self.configs:
                self.take_round()
        return done

    @torch.no_grad()
    def take_round(self) -> None:
        """The steps between two looks."""
        batches = self._batches()
        for rows in self._pieces():
            weights = self.weights.rows(rows)
            for place, batch in enumerate(batches):
                gradients = weights.gradients(batch.rows(rows), self.clips.gradient, self._precision)
                step = self.round * EVALUATE_EVERY_STEPS + place + 1
                self._adam.step(self.weights.tensors, gradients, rows, step)
        self.round += 1

    @torch.no_grad()
    def look(self) -> NDArray[np.float64]:
        """Validation score of each probe, `[probes]`."""
        outputs = self.weights.outputs(self._inputs.valid(), self._precision)
        found: NDArray[np.float64] = self.clips.score(outputs).double().cpu().numpy()
        return found

    def _look(self) -> list[TrainedProbe]:
        """Look once, keep what is better, and let those go that have stopped."""
        found = self.look()
        better = np.flatnonzero(found > self.scores)
        self.scores[better], self._best_round[better] = found[better], self.round
        if len(better):
            chosen = torch.from_numpy(better).to(self.clips.train.device)
            for best, current in zip(self._best.tensors, self.weights.tensors, strict=True):
                best.index_copy_(0, chosen, current.index_select(0, chosen))
        reasons = [self._reason(row, found[row]) for row in range(len(found))]
        ended = [self._ended(row, reason) for row, reason in enumerate(reasons) if reason]
        if ended:
            self._keep([row for row, reason in enumerate(reasons) if not reason])
        return ended

    def _reason(self, row: int, score: float) -> str:
        if not math.isfinite(score):
            return "diverged"
        if self.round - self._best_round[row] >= self.grid.patience:
            return "patience"
        return "limit" if self.round >= self.grid.most_evaluations else ""

    def _ended(self, row: int, reason: str) -> TrainedProbe:
        best_step, steps = (int(one) * EVALUATE_EVERY_STEPS for one in (self._best_round[row], self.round))
        ended = TrainedProbe(self.configs[row], float(self.scores[row]), best_step, steps, reason)
        if (rank := (-ended.score, self._places[row])) < self._champion_rank:
            self.champion, self._champion_rank = (ended, self._best.rows([row])), rank
        return ended

    def _keep(self, rows: list[int]) -> None:
        self.configs, self._places = [self.configs[row] for row in rows], [self._places[row] for row in rows]
        self.scores, self._best_round = self.scores[rows], self._best_round[rows]
        self.weights, self._best = self.weights.rows(rows), self._best.rows(rows)
        if rows:
            self._adam.keep(rows)
            self._inputs.keep(rows)

    def _pieces(self) -> list[slice]:
        count = len(self.configs)
        at_once = count
        if self._hidden and self.clips.train.device.type == "cpu":
            at_once = max(1, _CACHE_BYTES // (16 * self.weights.elements()))
        return [slice(start, min(start + at_once, count)) for start in range(0, count, at_once)]

    def _batches(self) -> list[ProbeBatch]:
        device = self.clips.train.device
        chosen = torch.from_numpy(self._stream.clips_of(self.round)).to(device)
        drawn = torch.from_numpy(self._stream.input_bytes(self.round, self.clips.train.shape[1])).to(device)
        hidden = torch.from_numpy(self._stream.hidden_bytes(self.round, max(1, self._hidden))).to(device)
        return [self._inputs.batch(one, *bytes_) for one, *bytes_ in zip(chosen, drawn, hidden, strict=True)]
