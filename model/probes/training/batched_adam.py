"""Adam for many probes at once, with a learning rate and a weight decay for each probe.

The update is that of torch.optim.Adam with its L2 term (Kingma and Ba 2015): g += l2 * w; m and v are the moving means
of g and g^2; w -= rate * m / (1 - 0.9^t) / (sqrt(v / (1 - 0.999^t)) + 1e-8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS = (0.9, 0.999)
EPSILON = 1e-8
_FUSED_ELEMENTS = 16_384  # from this size of a row on, one fused call per row is faster than seven passes over all rows


class BatchedAdam:
    """The moments of several tensors `[rows, ...]`, where each row belongs to one probe."""

    def __init__(self, parameters: Sequence[Tensor], rates: Sequence[float], decays: Sequence[float]) -> None:
        """Create moments of zero.

        Args:
            parameters: tensors that will be optimized, any shape `[rows, ...]`.
            rates: learning rate of each row.
            decays: weight decay of each row.
        """
        self._rates, self._decays = list(rates), list(decays)
        self._rate, self._decay = (parameters[0].new_tensor(values) for values in (rates, decays))
        self.moments = [(torch.zeros_like(parameter), torch.zeros_like(parameter)) for parameter in parameters]
        elements = sum(parameter[0].numel() for parameter in parameters)
        self._fused = parameters[0].device.type == "cpu" and elements >= _FUSED_ELEMENTS

    def step(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], rows: slice, step: int) -> None:
        """Update some rows in place.

        Args:
            parameters: all tensors, any shape `[rows, ...]`.
            gradients: gradients of `rows` only, otherwise of the same shape.
            rows: rows to update.
            step: number of this step of the rows, counted from 1.
        """
        if self._fused:
            for place, row in enumerate(range(*rows.indices(len(self._rates)))):
                self._step_row(
                    [parameter[row] for parameter in parameters],
                    [gradient[place] for gradient in gradients],
                    row,
                    step,
                )
            return
        for place, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            first, second = (moment[rows] for moment in self.moments[place])
            shape = (-1, *[1] * (gradient.ndim - 1))
            rate, decay = self._rate[rows].view(shape), self._decay[rows].view(shape)
            _update(parameter[rows], gradient, first, second, rate, decay, step)

    def select(self, rows: Sequence[int]) -> None:
        """Discard the moments of all other rows."""
        indices = torch.tensor(rows, device=self._rate.device)
        self._rates, self._decays = [self._rates[row] for row in rows], [self._decays[row] for row in rows]
        self._rate, self._decay = self._rate[indices], self._decay[indices]
        self.moments = [(first[indices], second[indices]) for first, second in self.moments]

    def _step_row(self, parameters: list[Tensor], gradients: list[Tensor], row: int, step: int) -> None:
        adam(
            parameters,
            gradients,
            [first[row] for first, _ in self.moments],
            [second[row] for _, second in self.moments],
            [],
            [torch.tensor(float(step - 1)) for _ in parameters],  # the kernel adds 1 before it uses the step
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


def _update(
    weights: Tensor, gradient: Tensor, first: Tensor, second: Tensor, rate: Tensor, decay: Tensor, step: int
) -> None:
    gradient = torch.addcmul(gradient, weights, decay)
    first.lerp_(gradient, 1 - BETAS[0])
    second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    denominator = second.sqrt().div_(math.sqrt(1 - BETAS[1] ** step)).add_(EPSILON)
    weights.addcdiv_(first * (rate / (1 - BETAS[0] ** step)), denominator, value=-1)
