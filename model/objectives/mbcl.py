"""The mini-batch contrastive loss of CLIP and OpenCLIP: views are compared across sides only.

In: two batches of embeddings `[B, D]`. Out: one scalar. Costs what `model.objectives.infonce` costs.

Axes: B clip of this rank's batch, D width.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from model.objectives.contrast import Views, softmax_loss
from model.objectives.kernels.comparisons import Comparisons


def mbcl(a: Float[Tensor, "B D"], b: Float[Tensor, "B D"], temperature: float) -> Float[Tensor, ""]:
    """Mean cross-entropy of finding each view's partner among the views of the other side.

    With both views x and y of all N clips normalised, the mean of both directions (Radford et al. 2021):

        -log exp(x_i . y_i / t) / sum over j of exp(x_i . y_j / t),   and the same with x and y exchanged

    Args:
        a: embeddings of one view of each clip, of any length and floating type.
        b: embeddings of the other view; row i belongs to row i of `a`.
        temperature: t > 0. OpenCLIP learns it; here it is constant, as it is for `infonce`.

    Returns:
        The mean over this rank's views: a scalar >= 0, log(N) when all views are alike; float32 (float64 for float64),
        with autocast off.

    Raises:
        InvalidInput: the shapes differ, there are fewer than two clips, or the temperature is not positive.
    """
    views = Views.gather(a, b)
    return softmax_loss(views, Comparisons.OTHER_SIDE, temperature)
