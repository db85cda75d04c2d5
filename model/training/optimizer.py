"""Optimizers, what each remembers of a weight, and how the learning rate moves.

adam is the paper's; FastCLIP compares adamw, lamb, lion and sgd. Three are PyTorch's, lamb and lion
pytorch_optimizer's, which is imported for them alone: that takes a fifth of a command's start.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from model.training.config import TrainConfig

_MOMENTS = {
    "Adam": ("exp_avg", "exp_avg_sq"),
    "AdamW": ("exp_avg", "exp_avg_sq"),
    "Lamb": ("exp_avg", "exp_avg_sq"),
    "Lion": ("exp_avg",),
    "SGD": ("momentum_buffer",),
}


def moments(optimizer: Optimizer) -> tuple[str, ...]:
    """What it remembers of each weight, in the weight's shape, by the names that its library gives."""
    return _MOMENTS[type(optimizer).__name__]


def build(learner: nn.Module, config: TrainConfig) -> Optimizer:
    """The optimizer of `config` over all weights.

    adam (Kingma and Ba 2015), fused, with L2 added to the gradient as in the public code; adamw (Loshchilov and Hutter
    2019), fused, lamb (You et al. 2020, without bias correction) and lion (Chen et al. 2023) take the decay off the
    weights; sgd has momentum 0.9, as the public code's, and L2.
    """
    weights, rate, decay = list(learner.parameters()), config.learning_rate, config.weight_decay
    match config.optimizer:
        case "adamw":
            return AdamW(weights, lr=rate, weight_decay=decay, fused=True)
        case "lamb":
            # else the first step would be ten times the rate: the trust ratio has already undone the small first moment
            return _further("Lamb")(weights, lr=rate, weight_decay=decay, adam_debias=True)
        case "lion":
            return _further("Lion")(weights, lr=rate, weight_decay=decay)
        case "sgd":
            return SGD(weights, lr=rate, weight_decay=decay, momentum=0.9)
        case _:
            return Adam(weights, lr=rate, weight_decay=decay, fused=True)


def _further(name: str) -> Callable[..., Optimizer]:
    found: Callable[..., Optimizer] = getattr(import_module("pytorch_optimizer"), name)
    return found


def set_steps(optimizer: Optimizer, steps: int) -> None:
    """Tell an optimizer whose moments were put back how many steps made them; only adam and adamw ask for it."""
    if isinstance(optimizer, Adam):  # AdamW is one
        for group in optimizer.param_groups:
            for weight in group["params"]:
                optimizer.state[weight]["step"] = torch.tensor(float(steps), device=weight.device)


def clip_gradients(learner: nn.Module, config: TrainConfig) -> Tensor | None:
    """Scale the gradient of all weights together down to `config.clip_gradient_norm` (Pascanu et al. 2013).

    Never waits for the device.

    Returns:
        The norm before that, a scalar `[]` on the device; None where nothing is clipped, and nothing was computed.
    """
    if config.clip_gradient_norm is None:
        return None
    return nn.utils.clip_grad_norm_(learner.parameters(), config.clip_gradient_norm)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate of `step`, counted from 0: a linear rise, then constant or half a cosine down to 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
