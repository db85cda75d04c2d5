"""Float32 weights, and the bfloat16 copies with which a training step computes.

In fp32 there are no copies. In bf16 the step computes with bfloat16 copies that are made before each step, and its
gradients are converted to float32 before the optimizer uses them. These are two passes over the weights (22 M: 0.13 GB
each). All gradients lie in one buffer, which is allocated once and which the ranks average in one message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from model.training import ranks


class WeightCopies:
    """The weights of a model in the type that a training step computes with, and the gradients of these weights.

    Args:
        model: the model whose float32 parameters the optimizer updates.
        precision: precision of the step's arithmetic, `fp32` or `bf16`.
        frozen_prefix: start of the names of weights that get no gradient (default: every weight gets one).
    """

    def __init__(self, model: nn.Module, precision: str, frozen_prefix: str | None = None) -> None:
        named = dict(model.named_parameters())
        frozen = [name for name in named if frozen_prefix and name.startswith(frozen_prefix)]
        self._parameters = {name: weight for name, weight in named.items() if name not in frozen}
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._copies: dict[str, Tensor] = {}
        if precision == "bf16":
            self._copies = {name: _copy(weight, self.dtype) for name, weight in self._parameters.items()}
        # constants during all steps, and in fp32 the memory of the parameters themselves
        self._frozen = {name: named[name].detach().to(self.dtype) for name in frozen}
        weights = list(self._parameters.values())
        sizes = [weight.numel() for weight in weights]
        self._gradient_buffer = torch.zeros(sum(sizes), device=weights[0].device)
        slices = torch.split(self._gradient_buffer, sizes)
        self._gradients = [flat.view_as(weight) for flat, weight in zip(slices, weights, strict=True)]

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Tensors to differentiate by, each with the name and the shape of its parameter."""
        return self._copies or self._parameters

    @property
    def all_tensors(self) -> dict[str, Tensor]:
        """Tensors to compute with: `tensors`, and those that are frozen, each with the shape of its parameter."""
        return {**self._frozen, **self.tensors}

    def copy_weights(self) -> None:
        """Copy the float32 weights; called before each step."""
        if self._copies:
            with torch.no_grad():
                torch._foreach_copy_(list(self._copies.values()), list(self._parameters.values()))

    def store_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Store the gradients of `tensors` in float32; each has the same shape as its tensor."""
        torch._foreach_copy_(self._gradients, list(gradients))

    def sync_gradients(self) -> None:
        """Average the stored gradients over all ranks and assign them to the parameters."""
        ranks.average_(self._gradient_buffer)
        for weight, gradient in zip(self._parameters.values(), self._gradients, strict=True):
            weight.grad = gradient


def _copy(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.detach().to(dtype).requires_grad_()
