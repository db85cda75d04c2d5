"""LAMB (You et al. 2020) with the rule of FastCLIP's public code.

The step of a weight matrix is that of Adam with bias correction, plus decay times the weights. It is scaled to the norm
of the weights (the trust ratio), which is not limited. Groups without decay, such as biases and gains, take Adam's step
as it is. No value is read on the host.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

BETAS = (0.9, 0.999)
EPSILON = 1e-6


class Lamb(Optimizer):
    """LAMB over groups of weights, each with its own `weight_decay`.

    Args:
        groups: dictionaries with `params` and `weight_decay`.
        lr: learning rate. A step changes a matrix with decay by this share of its norm.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "step": 0})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update all weights that have a gradient; there is no closure."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                group["step"] += 1
                updates = self._adam_steps(weights, group["step"])
                if group["weight_decay"]:
                    torch._foreach_add_(updates, weights, alpha=group["weight_decay"])
                    torch._foreach_mul_(updates, _trust_ratios(weights, updates))
                torch._foreach_add_(weights, updates, alpha=-group["lr"])

    def _adam_steps(self, weights: list[Tensor], step: int) -> list[Tensor]:
        """Update the moments of the weights, and return Adam's step of each at a learning rate of 1."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        means, squares = self._moments(weights, "exp_avg"), self._moments(weights, "exp_avg_sq")
        torch._foreach_lerp_(means, gradients, 1 - BETAS[0])
        torch._foreach_mul_(squares, BETAS[1])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - BETAS[1])
        denominators = torch._foreach_sqrt(torch._foreach_div(squares, 1 - BETAS[1] ** step))
        torch._foreach_add_(denominators, EPSILON)
        return list(torch._foreach_div(torch._foreach_div(means, 1 - BETAS[0] ** step), denominators))

    def _moments(self, weights: list[Tensor], name: str) -> list[Tensor]:
        return [self.state[weight].setdefault(name, torch.zeros_like(weight)) for weight in weights]


def _trust_ratios(weights: list[Tensor], updates: list[Tensor]) -> list[Tensor]:
    """Return the norm of each weight divided by that of its update, or 1 if one of the norms is 0."""
    weight_norms, update_norms = (torch.stack(torch._foreach_norm(each)) for each in (weights, updates))
    both = (weight_norms > 0) & (update_norms > 0)
    return list(torch.where(both, weight_norms / update_norms, 1.0).unbind())
