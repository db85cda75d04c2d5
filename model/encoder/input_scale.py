"""Mel power to what the encoder reads. In and out: floats of any shape. Costs one pass over the cells at most.

Elementwise, so it commutes with cutting, gathering and table lookup: training scales the 256 entries of the
dequantisation table instead of the cells.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

InputScale = Literal["power", "log1p", "log"]

# log10 of power is stored over [-6, 6]: what is weaker than this was never told from silence
LOG_FLOOR_POWER = 1e-6


def scale_input(power: Float[Tensor, "*cells"], scale: InputScale) -> Float[Tensor, "*cells"]:
    """Scale mel power (>= 0) as the encoder was trained on it.

    "power" leaves it alone, [0, inf), as the published models read it. "log1p" is ln(1 + x), [0, inf): 0 stays 0, and
    about 14 at the loudest. "log" is log10(max(x, 1e-6)), [-6, inf), up to about 6.
    """
    if scale == "log1p":
        return torch.log1p(power)
    if scale == "log":
        return power.clamp(min=LOG_FLOOR_POWER).log10()
    return power
