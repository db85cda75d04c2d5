"""Batched MLP: the stacked weights of many probes, their outputs, and their gradients, which are written by hand.

Axes: P probe, B clip, D feature, H hidden unit, C output. Weights are `[P, out, in]`. Where all probes read the same
features `[1, B, D]`, their products are computed as a single product `[B, D] x [D, P * out]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.probes.training.losses import Gradient


@dataclass(frozen=True)
class MlpWeights:
    """The weights of P probes, those of the first layer first."""

    tensors: tuple[Tensor, ...]
    """`[P, C, D]` and `[P, C]`. With a hidden layer `[P, H, D]`, `[P, H]`, `[P, C, H]` and `[P, C]`, and so on."""

    @classmethod
    def initialize(cls, seeds: Sequence[int], widths: Sequence[int], device: torch.device) -> MlpWeights:
        """Return random weights, uniform within 1 / sqrt(in) as in torch.nn.Linear.

        Args:
            seeds: seed of each probe. Equal seeds give equal weights.
            widths: D, the units of each hidden layer, and C.
            device: device of the weights.
        """
        of_seed = {seed: _random_weights(seed, widths) for seed in set(seeds)}
        stacked = (torch.stack([of_seed[seed][i] for seed in seeds]) for i in range(2 * len(widths) - 2))
        return cls(tuple(tensor.to(device) for tensor in stacked))

    def select(self, probes: slice | Sequence[int]) -> MlpWeights:
        """Return the weights of some probes: views for a slice, copies for a list."""
        return MlpWeights(tuple(tensor[probes] for tensor in self.tensors))

    def elements_per_probe(self) -> int:
        """Return the number of weights of one probe."""
        return sum(tensor[0].numel() for tensor in self.tensors)

    def outputs(self, features: Tensor, precision: torch.dtype) -> Tensor:
        """Return the outputs `[P, B, C]` for features `[1 or P, B, D]`, without dropout.

        Args:
            features: features, shared by all probes or different for each.
            precision: type in which the products of hidden layers are computed.
        """
        *hidden, weight, bias = self.tensors
        for hidden_weight, hidden_bias in zip(hidden[::2], hidden[1::2], strict=True):
            features = _linear(features.to(precision), hidden_weight.to(precision), hidden_bias).relu_()
        return _linear(features, weight, bias)

    def gradients(self, batch: ProbeBatch, gradient: Gradient, precision: torch.dtype) -> tuple[Tensor, ...]:
        """Return the gradients of the losses on `batch`, in the order of `tensors` and of the same shapes.

        Args:
            batch: features, targets and dropout.
            gradient: gradient of the loss with respect to the outputs.
            precision: type in which the products of hidden layers are computed.
        """
        if len(self.tensors) == 2:
            outputs = _linear(batch.features, *self.tensors)
            output_gradient = gradient(outputs, batch.targets)
            return _weight_gradient(output_gradient, batch.features), output_gradient.sum(1)
        weights, biases = self.tensors[::2], self.tensors[1::2]
        inputs = self._dropped_activations(batch, precision)
        output_gradient = gradient(torch.baddbmm(biases[-1][:, None], inputs[-1], weights[-1].mT), batch.targets)
        gradients = [torch.bmm(output_gradient.mT, inputs[-1]), output_gradient.sum(1)]
        for layer in reversed(range(len(weights) - 1)):
            output_gradient = torch.bmm(output_gradient, weights[layer + 1].to(output_gradient.dtype)).float()
            # a unit whose value is 0 was dropped or is inactive, so its gradient is 0
            output_gradient = torch.ops.aten.threshold_backward(
                output_gradient.mul_(batch.hidden_scale), inputs[layer + 1], 0
            )
            bias_gradient, output_gradient = output_gradient.sum(1), output_gradient.to(precision)
            weight_gradient = _weight_gradient(output_gradient, inputs[layer].to(precision)).float()
            gradients = [weight_gradient, bias_gradient, *gradients]
        return tuple(gradients)

    def _dropped_activations(self, batch: ProbeBatch, precision: torch.dtype) -> list[Tensor]:
        """Return the input of each layer after dropout: the features, then `[P, B, H]` float32 of each hidden layer."""
        inputs, first_unit = [batch.features], 0
        for weight, bias in zip(self.tensors[:-2:2], self.tensors[1:-2:2], strict=True):
            units = slice(first_unit, first_unit + weight.shape[1])
            hidden = _linear(inputs[-1].to(precision), weight.to(precision), bias).relu_()
            inputs.append(hidden.mul_(batch.hidden_mask[..., units]).mul_(batch.hidden_scale))
            first_unit = units.stop
        return inputs


@dataclass(frozen=True)
class ProbeBatch:
    """The batch of one step. The axis G has length 1 if all probes read the same input, else P."""

    features: Tensor
    """Features after dropout, `[G, B, D]`, in the type of the products that read them."""
    targets: Tensor
    """Targets `[B, C]`, which all probes share."""
    hidden_mask: Tensor
    """uint8 `[G, B, H]`: 0 for hidden units that are dropped, else 1, those of all hidden layers one after another.

    It is applied by multiplication. On a CPU, filling by a random mask takes thirty times as long, because its branches
    cannot be predicted.
    """
    hidden_scale: Tensor
    """`[G, 1, 1]`: 1 / (1 - dropout), the factor for hidden units that are not dropped."""

    def select(self, probes: slice) -> ProbeBatch:
        """Return the batch of some of the probes."""
        if len(self.features) == 1:
            return self
        return ProbeBatch(self.features[probes], self.targets, self.hidden_mask[probes], self.hidden_scale[probes])


def _random_weights(seed: int, widths: Sequence[int]) -> list[Tensor]:
    generator, weights = torch.Generator().manual_seed(seed), []
    for i in range(len(widths) - 1):
        bound = widths[i] ** -0.5
        shape = (widths[i + 1], widths[i])
        weights.append(torch.empty(shape).uniform_(-bound, bound, generator=generator))
        weights.append(torch.empty(shape[0]).uniform_(-bound, bound, generator=generator))
    return weights


def _linear(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return `[P, B, out]` float32 for features `[1 or P, B, in]`, weight `[P, out, in]` and bias `[P, out]`."""
    probes, outputs, _ = weight.shape
    if len(features) == 1:
        flat = features[0] @ weight.flatten(0, 1).T
        return flat.float().view(-1, probes, outputs).add_(bias).transpose(0, 1)
    return torch.bmm(features, weight.mT).float().add_(bias[:, None])


def _weight_gradient(output_gradient: Tensor, features: Tensor) -> Tensor:
    """Return the gradient `[P, out, in]` of a weight.

    Args:
        output_gradient: gradient of the layer's outputs, `[P, B, out]`.
        features: input of the layer, `[1 or P, B, in]`.
    """
    probes, clips, outputs = output_gradient.shape
    if len(features) == 1:
        flat = output_gradient.transpose(0, 1).reshape(clips, probes * outputs)
        return (flat.T @ features[0]).view(probes, outputs, -1)
    return torch.bmm(output_gradient.mT, features)
