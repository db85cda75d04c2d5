"""The mini-batch contrastive loss of CLIP and OpenCLIP, which compares a view only with views of the other side.

In: two batches of embeddings `[B, D]`. Out: a scalar. It costs as much as `model.objectives.infonce`.

Axes: B clip of this rank's batch, D width.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from model.objectives.contrast import Views, softmax_loss
from model.objectives.kernels.comparisons import Comparisons


def mbcl(first: Float[Tensor, "B D"], second: Float[Tensor, "B D"], temperature: float) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of identifying the partner of each view among the views of the other side.

    Let x and y be the normalized views of all N clips. The mean of both directions (Radford et al. 2021) is taken of:

        -log exp(x_i . y_i / t) / sum over j of exp(x_i . y_j / t),   and the same with x and y exchanged

    Args:
        first: embeddings of one view of each clip, of any length and floating type.
        second: embeddings of the other view; row i belongs to row i of `first`.
        temperature: t > 0. It is constant here, as for `infonce`, while OpenCLIP learns it.

    Returns:
        Mean over the views of this rank: a scalar >= 0, which is log(N) if all views are equal. It is float32 (float64
        for float64 input) and computed without autocast.

    Raises:
        InvalidInput: the shapes differ, there are fewer than two clips, or the temperature is not positive.
    """
    return softmax_loss(Views.gather(first, second), Comparisons.OTHER_SIDE, temperature)
