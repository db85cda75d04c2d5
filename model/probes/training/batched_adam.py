"""Adam over stacked probes: every row of every tensor has its own rate and decay.

Kingma and Ba 2015, as torch.optim.Adam computes it with its L2 term: g += l2 * w; m and v are the moving means of g and
g^2; w -= rate * m / (1 - 0.9^t) / (sqrt(v / (1 - 0.999^t)) + 1e-8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS = (0.9, 0.999)
EPSILON = 1e-8
_FUSED_ELEMENTS = 16_384  # of a row; from here on PyTorch's fused kernel, a call for each row, beats seven passes


class BatchedAdam:
    """The moments of several tensors, each `[rows, ...]`, all rows of which have taken as many steps."""

    def __init__(self, parameters: Sequence[Tensor], rates: Sequence[float], decays: Sequence[float]) -> None:
        """Begin at step 0 with the rate and the decay of each row; `parameters` are `[rows, ...]`."""
        self._rates, self._decays = list(rates), list(decays)
        self._rate, self._decay = (parameters[0].new_tensor(one) for one in (rates, decays))
        self.moments = [(torch.zeros_like(one), torch.zeros_like(one)) for one in parameters]
        elements = sum(one[0].numel() for one in parameters)
        self._fused = parameters[0].device.type == "cpu" and elements >= _FUSED_ELEMENTS

    def step(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], rows: slice, step: int) -> None:
        """Move some rows, in place.

        Args:
            parameters: all of them, any shape `[rows, ...]`.
            gradients: of `rows` only, the same shape but for the rows.
            rows: which.
            step: which step of theirs it is, counted from 1.
        """
        if self._fused:
            for place, row in enumerate(range(*rows.indices(len(self._rates)))):
                self._step_row([one[row] for one in parameters], [one[place] for one in gradients], row, step)
            return
        for place, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            first, second = (moment[rows] for moment in self.moments[place])
            shape = (-1, *[1] * (gradient.ndim - 1))
            rate, decay = self._rate[rows].view(shape), self._decay[rows].view(shape)
            _move(parameter[rows], gradient, first, second, rate, decay, step)

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these."""
        chosen = torch.tensor(rows, device=self._rate.device)
        self._rates, self._decays = [self._rates[row] for row in rows], [self._decays[row] for row in rows]
        self._rate, self._decay = self._rate[chosen], self._decay[chosen]
        self.moments = [(first[chosen], second[chosen]) for first, second in self.moments]

    def _step_row(self, parameters: list[Tensor], gradients: list[Tensor], row: int, step: int) -> None:
        adam(
            parameters,
            gradients,
            [first[row] for first, _ in self.moments],
            [second[row] for _, second in self.moments],
            [],
            [torch.tensor(float(step - 1)) for _ in parameters],  # it counts up before it reads
            foreach=False,
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self._rates[row],
            weight_decay=self._decays[row],
            eps=EPSILON,
            maximize=False,
        )


def _move(
    weights: Tensor, gradient: Tensor, first: Tensor, second: Tensor, rate: Tensor, decay: Tensor, step: int
) -> None:
    gradient = torch.addcmul(gradient, weights, decay)
    first.lerp_(gradient, 1 - BETAS[0])
    second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    bound = second.sqrt().div_(math.sqrt(1 - BETAS[1] ** step)).add_(EPSILON)
    weights.addcdiv_(first * (rate / (1 - BETAS[0] ** step)), bound, value=-1)
