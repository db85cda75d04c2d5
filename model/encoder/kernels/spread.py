"""Parameters whose gradients are sums over all tokens, prepared so that these sums take one launch for a whole trunk.

The programs of a kernel sum the gradient of a bias or of a norm's weight over a part of the tokens each, and store
these partial sums. They are the gradients of copies of the parameter, one for each program. So the parameters of all
layers are stacked and expanded to as many copies, which takes no memory, and PyTorch adds the gradients of all copies
of all layers at once. Otherwise each layer would need three launches of its own for less work than a launch costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def spread(
    parameters: Sequence[Float[Tensor, " D"]], each: int, copies: int
) -> tuple[Float[Tensor, "{copies} {each} D"], ...]:
    """Return the parameters of each layer in float32, expanded to copies.

    Args:
        parameters: parameters of all layers, `each` for every layer.
        each: parameters of a layer.
        copies: number of partial sums of their gradients.
    """
    stacked = torch.stack(tuple(parameters)).float().unflatten(0, (-1, 1, each))
    return stacked.expand(-1, copies, -1, -1).unbind()
