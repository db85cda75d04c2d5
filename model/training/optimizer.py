"""Adam as the paper uses it, and how the learning rate moves."""

from __future__ import annotations

import math

import torch

from model.training.config import TrainConfig
from model.training.learner import Learner


def build(learner: Learner, config: TrainConfig) -> torch.optim.Adam:
    """Adam (Kingma and Ba 2015) over all weights, with L2 added to the gradient as in the public code; fused."""
    return torch.optim.Adam(learner.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate of `step`, counted from 0: a linear rise, then constant or half a cosine down to 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
