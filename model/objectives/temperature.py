"""Temperatures of the global contrastive loss: constant, learned and shared, or learned for each clip.

Learned temperatures are updated by Adam (Kingma and Ba 2015) in their logarithm, so that a step is a percentage, and
they stay within bounds. The temperature of a clip is updated when the clip is visited, with a count of the clip's own
visits. The moments of clips that are not in the batch do not decay.

The rule `individual-momentum` is that of libauc's iSogCLR. Let h be the derivative of the loss with respect to the
temperature t of a clip. Each visit updates m = 0.1 m + 0.9 h and t = t - rate m, within the bounds of t.

The rule `individual-by-epoch` is that of FastCLIP's code: Adam in t itself, with h limited to 5 either way. Its bias
correction counts epochs, and its moments forget everything in the first epoch.

A learned temperature has a state of 16 bytes (12 with `individual-momentum`) for each patch kind, and for each clip if
clips have their own temperatures. Every rank holds a copy. All ranks get the same gradients, so all hold the same bits.

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
MOMENTUM = 0.1
"""Weight of previous gradients in the rule `individual-momentum`."""
MAX_SLOPE = 5.0
"""Largest derivative by a temperature in the rule `individual-by-epoch`."""
SLOWER = 1 / 3
"""Factor of the learning rate of a shared temperature that is at most `slower_at`."""


class Temperature(nn.Module):
    """The temperatures of a run.

    Args:
        config: temperature rule, bounds, learning rate and initial value.
        n_kinds: number of patch kinds, which have separate temperatures.
        n_clips: number of clips that can have a temperature; every stable index is below it.
        slower_at: temperature at and below which the learning rate of a shared temperature is a third; 0 for never.
    """

    log_value: Tensor
    mean: Tensor
    square: Tensor
    visits: Tensor

    def __init__(self, config: ObjectiveConfig, n_kinds: int, n_clips: int, slower_at: float = 0.0) -> None:
        super().__init__()
        self.config, self._slower_at = config, slower_at
        if self.learned:
            rows = 1 if config.temperature_rule == "shared" else n_clips
            self.register_buffer("log_value", torch.full((n_kinds, rows), math.log(config.temperature)))
            self.register_buffer("mean", torch.zeros(n_kinds, rows))
            if config.temperature_rule != "individual-momentum":
                self.register_buffer("square", torch.zeros(n_kinds, rows))
            self.register_buffer("visits", torch.zeros(n_kinds, rows, dtype=torch.int32))

    @property
    def learned(self) -> bool:
        """True if the temperature is learned."""
        return self.config.temperature_rule != "constant"

    def values(self, kind: int | Int64[Tensor, " E"], clips: Int64[Tensor, " E"], like: Tensor) -> Float[Tensor, " E"]:
        """Return the temperature of each clip in `clips`, which are stable indices, in the type of `like` (any shape).

        The argument `kind` is the number of the patch kind, or one number for each clip.
        """
        if not self.learned:
            return torch.full_like(clips, self.config.temperature, dtype=like.dtype)
        return self.log_value[kind, self._rows(clips)].exp().to(like.dtype)

    def update(
        self,
        kind: int | Int64[Tensor, " N"],
        clips: Int64[Tensor, " N"],
        gradients: Float[Tensor, " N"],
        epoch: int = 0,
    ) -> None:
        """Do one step of the temperature rule.

        Args:
            kind: number of the patch kind, or one number for each clip.
            clips: stable index of each clip.
            gradients: derivative of the loss with respect to the logarithm of each clip's temperature, or to the
                temperature itself in the rule `individual-by-epoch`.
            epoch: number of passes over the clips before this one, which only this rule uses.
        """
        rows = self._rows(clips)
        if self.config.temperature_rule == "shared":
            rows, gradients = rows[:1], gradients.mean(dim=0, keepdim=True)
            kind = kind if isinstance(kind, int) else kind[:1]
        if self.config.temperature_rule == "individual-by-epoch":
            self._epoch_step(kind, rows, gradients, epoch)
        elif self.config.temperature_rule == "individual-momentum":
            self._momentum_step(kind, rows, gradients)
        else:
            self._adam_step(kind, rows, gradients)

    def _epoch_step(self, kind: int | Tensor, rows: Tensor, gradients: Tensor, epoch: int) -> None:
        first, second = (0.0, 0.0) if epoch == 0 else BETAS
        gradients = gradients.clamp(-MAX_SLOPE, MAX_SLOPE)
        mean = torch.lerp(gradients, self.mean[kind, rows].to(gradients), first)
        square = torch.lerp(gradients.square(), self.square[kind, rows].to(gradients), second)
        step = (mean / (1 - first ** (epoch + 1))) / ((square / (1 - second ** (epoch + 1))).sqrt() + EPSILON)
        value = self.log_value[kind, rows].to(gradients).exp() - self.config.temperature_learning_rate * step
        bounded = value.clamp(self.config.lowest_temperature, self.config.highest_temperature)
        visits = self.visits[kind, rows] + 1
        self._store(kind, rows, log_value=bounded.log(), mean=mean, square=square, visits=visits)

    def _momentum_step(self, kind: int | Tensor, rows: Tensor, gradients: Tensor) -> None:
        value = self.log_value[kind, rows].to(gradients).exp()
        mean = torch.lerp(gradients / value, self.mean[kind, rows].to(gradients), MOMENTUM)
        value = value - self.config.temperature_learning_rate * mean
        bounded = value.clamp(self.config.lowest_temperature, self.config.highest_temperature)
        self._store(kind, rows, log_value=bounded.log(), mean=mean, visits=self.visits[kind, rows] + 1)

    def _adam_step(self, kind: int | Tensor, rows: Tensor, gradients: Tensor) -> None:
        visits = (self.visits[kind, rows] + 1).to(gradients)
        mean = torch.lerp(gradients, self.mean[kind, rows].to(gradients), BETAS[0])
        square = torch.lerp(gradients.square(), self.square[kind, rows].to(gradients), BETAS[1])
        step = (mean / (1 - BETAS[0] ** visits)) / ((square / (1 - BETAS[1] ** visits)).sqrt() + EPSILON)
        log_value = self.log_value[kind, rows] - self._rates(self.log_value[kind, rows]) * step
        bounds = math.log(self.config.lowest_temperature), math.log(self.config.highest_temperature)
        self._store(kind, rows, log_value=log_value.clamp(*bounds), mean=mean, square=square, visits=visits)

    def _store(self, kind: int | Tensor, rows: Tensor, **values: Tensor) -> None:
        for name, value in values.items():
            state = self.get_buffer(name)
            state[kind, rows] = value.to(state.dtype)

    def _rates(self, log_value: Tensor) -> Tensor | float:
        """Return the learning rate of each temperature, which is a third for low ones if the settings say so."""
        rate = self.config.temperature_learning_rate
        if not self._slower_at:
            return rate
        return torch.where(log_value.exp() <= self._slower_at, rate * SLOWER, rate)

    def average(self) -> float:
        """Return the mean temperature of visited clips, or the initial value without visits; waits for the device."""
        if not self.learned or not self.visits.any():
            return self.config.temperature
        return float(self.log_value[self.visits > 0].exp().mean())

    def _rows(self, clips: Tensor) -> Tensor:
        return torch.zeros_like(clips) if self.config.temperature_rule == "shared" else clips
