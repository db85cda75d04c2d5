"""Temperatures of the global contrastive loss: constant, learned and shared, or learned for each clip.

Learned ones move by Adam (Kingma and Ba 2015) in their logarithm, so that a step is a percentage, and stay within
bounds. A clip's temperature moves when the clip is visited, and counts its own visits: moments of what was not seen do
not decay.

State of a learned temperature: 16 bytes, once for each kind of patch, and for each clip where clips have their own. It
is replicated on every rank: all ranks see the same gradients, so all hold the same bits.

Axes: E view of all ranks, N clip of all ranks.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from model.objectives.config import ObjectiveConfig

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Temperature(nn.Module):
    """The temperatures of a run.

    Args:
        config: the rule, its numbers and where it starts.
        kinds: kinds of patch; each has its own.
        samples: clips that can have one; stable indices lie below it.
    """

    log_value: Tensor
    mean: Tensor
    square: Tensor
    visits: Tensor

    def __init__(self, config: ObjectiveConfig, kinds: int, samples: int) -> None:
        super().__init__()
        self.config = config
        rows = {"constant": 0, "shared": 1, "individual": samples}[config.temperature_rule]
        if rows:
            self.register_buffer("log_value", torch.full((kinds, rows), math.log(config.temperature)))
            self.register_buffer("mean", torch.zeros(kinds, rows))
            self.register_buffer("square", torch.zeros(kinds, rows))
            self.register_buffer("visits", torch.zeros(kinds, rows, dtype=torch.int32))

    @property
    def learned(self) -> bool:
        """Whether it moves."""
        return self.config.temperature_rule != "constant"

    def of(self, kind: int, clips: Int64[Tensor, " E"], like: Tensor) -> Float[Tensor, " E"]:
        """The temperature of each of `clips`, given by stable index, in the type of `like` (any shape)."""
        if not self.learned:
            return torch.full_like(clips, self.config.temperature, dtype=like.dtype)
        return self.log_value[kind, self._rows(clips)].exp().to(like.dtype)

    def learn(self, kind: int, clips: Int64[Tensor, " N"], slopes: Float[Tensor, " N"]) -> None:
        """One step of Adam down the slopes of the loss by the logarithm of each clip's temperature."""
        rows = self._rows(clips)
        if self.config.temperature_rule == "shared":
            rows, slopes = rows[:1], slopes.mean(dim=0, keepdim=True)
        visits = (self.visits[kind, rows] + 1).to(slopes)
        mean = torch.lerp(slopes, self.mean[kind, rows].to(slopes), BETAS[0])
        square = torch.lerp(slopes.square(), self.square[kind, rows].to(slopes), BETAS[1])
        step = (mean / (1 - BETAS[0] ** visits)) / ((square / (1 - BETAS[1] ** visits)).sqrt() + EPSILON)
        moved = self.log_value[kind, rows] - self.config.temperature_learning_rate * step
        bounds = math.log(self.config.lowest_temperature), math.log(self.config.highest_temperature)
        for state, now in (
            (self.log_value, moved.clamp(*bounds)), (self.mean, mean), (self.square, square), (self.visits, visits),
        ):  # fmt: skip
            state[kind, rows] = now.to(state.dtype)

    def average(self) -> float:
        """Mean of those that were visited, or what all start from; waits for the device."""
        if not self.learned or not self.visits.any():
            return self.config.temperature
        return float(self.log_value[self.visits > 0].exp().mean())

    def _rows(self, clips: Tensor) -> Tensor:
        return clips if self.config.temperature_rule == "individual" else torch.zeros_like(clips)
