"""Optimizers, the moments that each stores per weight, and the learning rate schedule.

The paper uses adam. FastCLIP compares adamw, lamb, lion and sgd. Adam, adamw and sgd are PyTorch's, and lamb follows
FastCLIP's code. lion is that of pytorch_optimizer, which is imported only for it, because the import takes a fifth of a
command's start.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from model.training.config import TrainConfig
from model.training.lamb import Lamb

ENCODER_PREFIX = "encoder."
"""Prefix of the names of the encoder's weights in a model with a head."""
_MOMENT_NAMES = {
    "Adam": ("exp_avg", "exp_avg_sq"),
    "AdamW": ("exp_avg", "exp_avg_sq"),
    "Lamb": ("exp_avg", "exp_avg_sq"),
    "Lion": ("exp_avg",),
    "SGD": ("momentum_buffer",),
}


def moment_names(optimizer: Optimizer) -> tuple[str, ...]:
    """Return the names by which the optimizer stores its moments of a weight; each moment has the weight's shape."""
    return _MOMENT_NAMES[type(optimizer).__name__]


def build(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Build the optimizer of `config` over all weights of `model`.

    adam (Kingma and Ba 2015) is fused and adds L2 to the gradient, as in the public code. adamw (Loshchilov and Hutter
    2019, fused) and lion (Chen et al. 2023) subtract the decay from the weights. lamb (You et al. 2020) adds it to the
    update of weight matrices, before the trust ratio; biases and gains have neither. sgd has momentum 0.9, as in the
    public code, and L2.
    """
    rate, decay = config.learning_rate, config.weight_decay
    weights = _groups(model, config)
    match config.optimizer:
        case "adamw":
            return AdamW(weights, lr=rate, weight_decay=decay, fused=True)
        case "lamb":
            return Lamb([part for group in weights for part in _decayed_matrices(group, decay)], lr=rate)
        case "lion":
            return _lion()(weights, lr=rate, weight_decay=decay)
        case "sgd":
            return SGD(weights, lr=rate, weight_decay=decay, momentum=0.9)
        case _:
            return Adam(weights, lr=rate, weight_decay=decay, fused=True)


def _lion() -> Callable[..., Optimizer]:
    lion: Callable[..., Optimizer] = import_module("pytorch_optimizer").Lion
    return lion


def _groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Return the encoder and the head as groups if they are trained differently, or else all weights as one group."""
    factor, frozen = config.encoder_rate_factor, config.freeze_encoder_steps
    if factor == 1 and not frozen:
        return [{"params": list(model.parameters())}]
    named = list(model.named_parameters())
    encoder = [weight for name, weight in named if name.startswith(ENCODER_PREFIX)]
    head = [weight for name, weight in named if not name.startswith(ENCODER_PREFIX)]
    return [{"params": encoder, "rate_factor": factor, "frozen_steps": frozen}, {"params": head}]


def _decayed_matrices(group: dict[str, Any], decay: float) -> list[dict[str, Any]]:
    """Return two groups: matrices with decay, and biases and gains without it."""
    matrices, vectors = [w for w in group["params"] if w.ndim > 1], [w for w in group["params"] if w.ndim <= 1]
    parts = ({"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0})
    return [{**group, **part} for part in parts]


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all groups; that of the encoder is multiplied by its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_factor", 1.0)


def updates_by_weight(optimizer: Optimizer, steps: int) -> dict[nn.Parameter, int]:
    """Return how often each weight was updated in the first `steps` steps. Weights that are frozen are not updated."""
    return {
        weight: max(0, steps - group.get("frozen_steps", 0))
        for group in optimizer.param_groups
        for weight in group["params"]
    }


def set_steps(optimizer: Optimizer, steps: int) -> None:
    """Set the number of steps of an optimizer whose moments were restored; adam, adamw and lamb need this number."""
    if isinstance(optimizer, Lamb):
        for group in optimizer.param_groups:
            group["step"] = max(0, steps - group.get("frozen_steps", 0))
    if isinstance(optimizer, Adam):  # AdamW is a subclass of Adam
        for weight, updates in updates_by_weight(optimizer, steps).items():
            if updates:
                optimizer.state[weight]["step"] = torch.tensor(float(updates), device=weight.device)


def clip_gradients(model: nn.Module, config: TrainConfig) -> Tensor | None:
    """Scale the gradient of all weights down to the norm `config.clip_gradient_norm` (Pascanu et al. 2013).

    The host does not wait for the device.

    Returns:
        The norm before clipping, a scalar `[]` on the device. None if the settings do not ask for clipping, in which
        case no norm is computed.
    """
    if config.clip_gradient_norm is None:
        return None
    return nn.utils.clip_grad_norm_(model.parameters(), config.clip_gradient_norm)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the learning rate of `step`, counted from 0.

    The rate rises linearly over the warm-up steps and is then constant or falls to 0 along half a cosine.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
