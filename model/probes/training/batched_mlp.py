"""Stacked probes: their weights, their outputs, and the gradients of all of them at once, written out by hand.

Axes: P probe, B clip, D feature, H hidden unit, C output. Weights are `[P, out, in]`. Where all probes read the same
features `[1, B, D]`, their products are one: `[B, D] x [D, P * out]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.probes.training.losses import Gradient


@dataclass(frozen=True)
class MlpWeights:
    """The tensors of P probes, of the hidden layer first."""

    tensors: tuple[Tensor, ...]
    """`[P, C, D]` and `[P, C]`; with a hidden layer `[P, H, D]`, `[P, H]`, `[P, C, H]` and `[P, C]`."""

    @classmethod
    def start(cls, seeds: Sequence[int], widths: Sequence[int], device: torch.device) -> MlpWeights:
        """As torch.nn.Linear begins: uniform within 1 / sqrt(in); one probe for each seed.

        Args:
            seeds: of each probe; equal ones begin equal.
            widths: D, C or D, H, C.
            device: where they lie.
        """
        drawn = {seed: _start(seed, widths) for seed in set(seeds)}
        stacked = (torch.stack([drawn[seed][i] for seed in seeds]) for i in range(2 * len(widths) - 2))
        return cls(tuple(one.to(device) for one in stacked))

    def rows(self, rows: slice | Sequence[int]) -> MlpWeights:
        """Some of the probes: views for a slice, copies for a list."""
        return MlpWeights(tuple(one[rows] for one in self.tensors))

    def elements(self) -> int:
        """Numbers that one probe has."""
        return sum(one[0].numel() for one in self.tensors)

    def outputs(self, features: Tensor, precision: torch.dtype) -> Tensor:
        """Outputs `[P, B, C]` for features `[1 or P, B, D]`, without dropout.

        Args:
            features: shared by all probes, or of each.
            precision: of the products of the hidden layer.
        """
        *hidden, weight, bias = self.tensors
        if hidden:
            features = _layer(features.to(precision), hidden[0].to(precision), hidden[1]).relu_()
        return _layer(features, weight, bias)

    def gradients(self, batch: ProbeBatch, gradient: Gradient, precision: torch.dtype) -> tuple[Tensor, ...]:
        """Gradients of the losses on `batch`, in the order of `tensors` and of the same shape each.

        Args:
            batch: features and what dropout leaves out.
            gradient: of the loss, by the outputs.
            precision: of the products of the hidden layer.
        """
        if len(self.tensors) == 2:
            outputs = _layer(batch.features, *self.tensors)
            by_output = gradient(outputs, batch.targets)
            return _outer(by_output, batch.features), by_output.sum(1)
        first, first_bias, second, second_bias = self.tensors
        hidden = _layer(batch.features, first.to(precision), first_bias).relu_()
        hidden = hidden.mul_(batch.kept).mul_(batch.scale)
        by_output = gradient(torch.baddbmm(second_bias[:, None], hidden, second.mT), batch.targets)
        # a unit that is 0 was dropped or not excited: nothing reaches what lies before it
        by_hidden = torch.bmm(by_output, second).mul_(batch.scale)
        by_hidden = torch.ops.aten.threshold_backward(by_hidden, hidden, 0)
        return (
            _outer(by_hidden.to(precision), batch.features).float(),
            by_hidden.sum(1),
            torch.bmm(by_output.mT, hidden),
            by_output.sum(1),
        )


@dataclass(frozen=True)
class ProbeBatch:
    """What the probes see at one step; G is 1 where all see the same, else P."""

    features: Tensor
    """`[G, B, D]` after dropout, in the precision of the products that read it."""
    targets: Tensor
    """`[B, C]`, the same for all."""
    kept: Tensor
    """`[G, B, H]` uint8: 0 for hidden units that are left out, else 1; of no meaning without a hidden layer.

    A factor, since on a CPU to fill by a random mask takes thirty times as long: a branch that nobody can predict.
    """
    scale: Tensor
    """`[G, 1, 1]`: 1 / (1 - dropout), for what is kept of the hidden layer."""

    def rows(self, rows: slice) -> ProbeBatch:
        """What some of the probes see."""
        if len(self.features) == 1:
            return self
        return ProbeBatch(self.features[rows], self.targets, self.kept[rows], self.scale[rows])


def _start(seed: int, widths: Sequence[int]) -> list[Tensor]:
    generator, made = torch.Generator().manual_seed(seed), []
    for i in range(len(widths) - 1):
        bound = widths[i] ** -0.5
        shape = (widths[i + 1], widths[i])
        made.append(torch.empty(shape).uniform_(-bound, bound, generator=generator))
        made.append(torch.empty(shape[0]).uniform_(-bound, bound, generator=generator))
    return made


def _layer(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`[P, B, out]` float32 of features `[1 or P, B, in]`, weight `[P, out, in]`, bias `[P, out]`."""
    probes, outputs, _ = weight.shape
    if len(features) == 1:
        flat = features[0] @ weight.flatten(0, 1).T
        return flat.float().view(-1, probes, outputs).add_(bias).transpose(0, 1)
    return torch.bmm(features, weight.mT).float().add_(bias[:, None])


def _outer(by_output: Tensor, features: Tensor) -> Tensor:
    """Gradient `[P, out, in]` of a weight, from that of its outputs `[P, B, out]` and features `[1 or P, B, in]`."""
    probes, clips, outputs = by_output.shape
    if len(features) == 1:
        flat = by_output.transpose(0, 1).reshape(clips, probes * outputs)
        return (flat.T @ features[0]).view(probes, outputs, -1)
    return torch.bmm(by_output.mT, features)
