"""InfoNCE between two views of each clip, as in SimCLR: every other view of the batch is compared with the anchor.

This is NT-Xent. The formula that the Myna paper prints leaves the partner out of the denominator, which is `dcl`.

In: two batches of embeddings `[B, D]`. Out: a scalar. `model.objectives.contrast` states the cost.

For a hybrid, the caller computes the loss of each patch kind separately and averages them, as the public code does.

Axes: B clip of this rank's batch, D width.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from model.objectives.contrast import Views, softmax_loss
from model.objectives.kernels.comparisons import Comparisons


def infonce(first: Float[Tensor, "B D"], second: Float[Tensor, "B D"], temperature: float) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of identifying the partner of each view among all other views.

    Let z be the normalized 2N views of all ranks and p(i) the partner of i. The mean over every view i of both sides
    (NT-Xent, Chen et al. 2020) is taken of:

        -log exp(z_i . z_p(i) / t) / sum over j != i of exp(z_i . z_j / t)

    Args:
        first: embeddings of one view of each clip, of any length and floating type.
        second: embeddings of the other view; row i belongs to row i of `first`.
        temperature: t > 0; 0.1 in the paper.

    Returns:
        Mean over the views of this rank: a scalar >= 0, which is log(2N - 1) if all views are equal. It is float32
        (float64 for float64 input) and computed without autocast.

    Raises:
        InvalidInput: the shapes differ, there are fewer than two clips, or the temperature is not positive.
    """
    return softmax_loss(Views.gather(first, second), Comparisons.OTHERS, temperature)
