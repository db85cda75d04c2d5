"""The input scale: the function that turns mel power into the values that the encoder embeds.

The functions work on each element, so they can be applied before or after patches are cut, gathered or looked up in a
table. Training scales the 256 entries of the dequantization table instead of the cells.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from model.encoder.config import InputScale

# The lowest power above 0 that the default quantizer stores, see `stores.quantize`
LOG_FLOOR_POWER = 1e-6


def scale_input(power: Float[Tensor, "*cells"], scale: InputScale) -> Float[Tensor, "*cells"]:
    """Return mel power (>= 0) in the scale that the encoder was trained on.

    The default quantizer stores 0 and powers from 10^-6 to 10^4.5, which gives these ranges:

        "power"       x                      0 and 1e-6 to 31,623; the scale of the published models
        "log1p"       ln(1 + x)              0 to 10.4
        "log1p1000"   ln(1 + 1000 x)         0 to 17.3; quiet sounds count more, and codecs change it less than log
        "log"         log10(max(x, 1e-6))    -6 to 4.5; 0 becomes -6

    Powers above 10^4.5, which only a store of float32 power can contain, give larger values. The function makes one
    pass over the cells at most.
    """
    if scale == "log1p":
        return torch.log1p(power)
    if scale == "log1p1000":
        return torch.log1p(1000 * power)
    if scale == "log":
        return power.clamp(min=LOG_FLOOR_POWER).log10()
    return power
