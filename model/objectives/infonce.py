"""InfoNCE between two views of each clip, with every other view of the batch as a negative: the paper's objective.

In: two batches of embeddings `[B, D]`. Out: one scalar. Costs what `model.objectives.contrast` states.

For hybrid the caller takes the loss of each kind of patch alone; the public code averages the two.

Axes: B clip of this rank's batch, D width.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from model.objectives.contrast import Views, softmax_loss
from model.objectives.kernels.comparisons import Comparisons


def infonce(a: Float[Tensor, "B D"], b: Float[Tensor, "B D"], temperature: float) -> Float[Tensor, ""]:
    """Mean cross-entropy of finding each view's partner among all other views.

    With all 2N views z of all ranks normalised and p(i) the partner of i, over every i from both sides (NT-Xent, Chen
    et al. 2020):

        -log exp(z_i . z_p(i) / t) / sum over j != i of exp(z_i . z_j / t)

    Args:
        a: embeddings of one view of each clip, of any length and floating type.
        b: embeddings of the other view; row i belongs to row i of `a`.
        temperature: t > 0; 0.1 as published.

    Returns:
        The mean over this rank's views: a scalar >= 0, log(2N - 1) when all views are alike; float32 (float64 for
        float64), with autocast off.

    Raises:
        InvalidInput: the shapes differ, there are fewer than two clips, or the temperature is not positive.
    """
    views = Views.gather(a, b)
    return softmax_loss(views, Comparisons.OTHERS, temperature)
