"""Probes over a learned mixture of layers: a scalar mix (Peters et al. 2018) that is trained with the head.

Let z_l be the standardized features of layer l. The head reads

    x = gain * sum over l of softmax(s)_l z_l

where s and the gain are learned. The protocol is that of the other probes: the same batches and dropout, Adam, an
evaluation before every eighth step, and the same rules that stop. The penalty L2 concerns the head only.

After training, the mixture becomes part of the first layer of the head, which then reads all layers side by side. A
probe of a mixture is therefore stored and predicted like every other probe.

Axes: L layer, D width of a layer, B clip, C output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.probes.config import EVALUATE_EVERY_STEPS, Grid, ProbeConfig
from model.probes.probe import Probe
from model.probes.task import Task
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.batched_trainer import TrainedProbe
from model.probes.training.grid_search import GridSearch
from model.probes.training.inputs import TaskTensors
from model.probes.training.sampling import BatchSampler


@dataclass(frozen=True)
class LayerMixSearch(GridSearch):
    """Settings of a search over probes of a mixture of layers. The features are the layers side by side."""

    layers: int = 1
    """Number of layers in the features."""

    def _digest(self, task: Task) -> str:
        return f"mix of {self.layers}: {super()._digest(task)}"

    def _trainer(self, configs: Sequence[ProbeConfig], tensors: TaskTensors, grid: Grid) -> LayerMixTrainer:
        return LayerMixTrainer(configs, tensors, grid, self.layers)


def mixing(search: GridSearch, layers: int) -> LayerMixSearch:
    """Return a search with the settings of `search` over probes of a mixture of layers."""
    return LayerMixSearch(search.device, search.precision, search.cache_folder, search.label, layers=layers)


def mixing_weights(probe: Probe, layers: int) -> list[float]:
    """Return the share of each layer in the mixture that a probe reads, which sum to 1.

    The parts of the first layer are multiples of one matrix, so their norms have the ratios of the weights.
    """
    first = probe.weights.tensors[0][0]
    norms = first.reshape(len(first), layers, -1).norm(dim=(0, 2)).double()
    shares: list[float] = (norms / norms.sum()).tolist()
    return shares if float(norms.sum()) else [1 / layers] * layers


class LayerMixTrainer:
    """Trains probes of a mixture of layers, one after another.

    Args:
        configs: settings of the probes.
        task: training and validation clips, whose features are the layers side by side.
        grid: patience and limit of evaluations.
        layers: number of layers.
    """

    def __init__(self, configs: Sequence[ProbeConfig], task: TaskTensors, grid: Grid, layers: int) -> None:
        self._configs, self._task, self._grid, self._layers = configs, task, grid, layers
        self.winner: tuple[TrainedProbe, MlpWeights] | None = None

    def train(self, on_evaluation: Callable[[int, float], None] = lambda _stopped, _best: None) -> list[TrainedProbe]:
        """Train all probes and return their results; see `BatchedTrainer.train`."""
        results = []
        for config in self._configs:
            probe = _MixedProbe(config, self._task, self._layers)
            trained = self._train_one(probe, on_evaluation)
            results.append(trained)
            if self.winner is None or trained.score > self.winner[0].score:
                self.winner = trained, probe.best
        return results

    def _train_one(self, probe: _MixedProbe, on_evaluation: Callable[[int, float], None]) -> TrainedProbe:
        best_interval, interval, reason = 0, 0, ""
        while not reason:
            score = probe.evaluate()
            if score > probe.best_score:
                probe.keep(score)
                best_interval = interval
            reason = self._reason_to_stop(score, interval, best_interval)
            on_evaluation(int(bool(reason)), probe.best_score)
            if not reason:
                probe.train_interval(interval)
                interval += 1
        steps = best_interval * EVALUATE_EVERY_STEPS, interval * EVALUATE_EVERY_STEPS
        return TrainedProbe(probe.config, probe.best_score, *steps, reason)

    def _reason_to_stop(self, score: float, interval: int, best_interval: int) -> str:
        if not math.isfinite(score):
            return "diverged"
        if interval - best_interval >= self._grid.patience:
            return "patience"
        return "limit" if interval >= self._grid.max_evaluations else ""


class _MixedProbe:
    """One probe while it is trained."""

    def __init__(self, config: ProbeConfig, task: TaskTensors, layers: int) -> None:
        self.config, self._task = config, task
        self._train, self._valid = (self._split(each, layers) for each in (task.train, task.valid))
        self._width = self._train.shape[2]
        widths = (self._width, *config.hidden_widths, task.targets.shape[1])
        weights = MlpWeights.initialize([config.seed], widths, task.train.device)
        self._head = [tensor[0].clone().requires_grad_() for tensor in weights.tensors]
        self._scores = task.train.new_zeros(layers).requires_grad_()
        self._gain = task.train.new_ones(()).requires_grad_()
        self._sampler = BatchSampler(config.seed, config.batch, len(task.train))
        groups = [
            {"params": self._head, "weight_decay": config.l2},
            {"params": [self._scores, self._gain], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.Adam(groups, lr=config.learning_rate)
        self.best_score, self.best = -math.inf, self._joined()

    def _split(self, features: Tensor, layers: int) -> Tensor:
        """Return features `[clips, L, D]`, standardized if the settings say so."""
        mean, deviation = self._task.scaler
        standardized = (features - mean) / deviation if self.config.standardised else features
        return standardized.reshape(len(features), layers, -1)

    @torch.no_grad()
    def evaluate(self) -> float:
        """Return the validation score."""
        weights = MlpWeights(tuple(tensor.detach()[None] for tensor in self._head))
        return float(self._task.score(weights.outputs(self._mix(self._valid)[None], torch.float32)))

    def keep(self, score: float) -> None:
        """Remember the present weights, which have the best score so far."""
        self.best_score, self.best = score, self._joined()

    def train_interval(self, interval: int) -> None:
        """Take the steps between two evaluations."""
        device, threshold = self._train.device, self.config.dropout_threshold
        clips = torch.from_numpy(self._sampler.clip_indices(interval)).to(device)
        inputs = torch.from_numpy(self._sampler.input_bytes(interval, self._width)).to(device) >= threshold
        units = max(1, sum(self.config.hidden_widths))
        hidden = torch.from_numpy(self._sampler.hidden_bytes(interval, units)).to(device) >= threshold
        for rows, input_mask, hidden_mask in zip(clips, inputs, hidden, strict=True):
            outputs = self._outputs(self._train[rows], input_mask, hidden_mask)
            gradient = self._task.gradient(outputs.detach()[None].clone(), self._task.targets[rows])[0]
            self._adam.zero_grad()
            outputs.backward(gradient)  # type: ignore[no-untyped-call]
            self._adam.step()

    def _mix(self, features: Tensor) -> Tensor:
        """Return the mixture `[B, D]` of features `[B, L, D]`."""
        mixed: Tensor = torch.einsum("l,bld->bd", self._scores.softmax(0) * self._gain, features)
        return mixed

    def _outputs(self, features: Tensor, input_mask: Tensor, hidden_mask: Tensor) -> Tensor:
        """Return the outputs `[B, C]` with dropout for features `[B, L, D]`."""
        scale = 1 / (1 - self.config.dropout)
        rows, first_unit = self._mix(features) * input_mask * scale, 0
        for weight, bias in self._hidden_layers():
            units = slice(first_unit, first_unit + len(weight))
            rows = torch.relu(rows @ weight.T + bias) * hidden_mask[:, units] * scale
            first_unit = units.stop
        return rows @ self._head[-2].T + self._head[-1]

    def _hidden_layers(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self._head[:-2:2], self._head[1:-2:2], strict=True)

    def _joined(self) -> MlpWeights:
        """Return the weights of a head that reads all layers side by side, and mixes them in its first layer."""
        shares = (self._scores.softmax(0) * self._gain).detach()
        first, *others = (tensor.detach() for tensor in self._head)
        joined = (shares[None, :, None] * first[:, None]).flatten(1)
        return MlpWeights(tuple(tensor.clone()[None] for tensor in (joined, *others)))
