"""Decoupled contrastive learning, the formula of the Myna paper: the partner is not in the denominator.

In: two batches of embeddings `[B, D]`. Out: a scalar. It costs as much as `model.objectives.infonce`.

In NT-Xent, the gradient of a view fades as its partner comes close, because the partner fills the denominator. Here it
does not (Yeh et al. 2022). The loss is that of SogCLR at gamma 1, divided by the temperature, plus log(2N - 2), because
SogCLR takes the mean of the negatives where the paper prints their sum.

Axes: B clip of this rank's batch, N clip of all ranks, D width.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from model.objectives.contrast import Views, softmax_loss
from model.objectives.kernels.comparisons import Comparisons


def dcl(first: Float[Tensor, "B D"], second: Float[Tensor, "B D"], temperature: float) -> Float[Tensor, ""]:
    """Return the mean contrastive loss of each view against the views of other clips.

    Let z be the normalized 2N views of all ranks and p(i) the partner of i. The mean over every view i of both sides is
    taken of:

        -log exp(z_i . z_p(i) / t) / sum over j other than i and p(i) of exp(z_i . z_j / t)

    Args:
        first: embeddings of one view of each clip, of any length and floating type.
        second: embeddings of the other view; row i belongs to row i of `first`.
        temperature: t > 0; 0.1 in the paper.

    Returns:
        Mean over the views of this rank: a scalar of either sign, which is log(2N - 2) if all views are equal. It is
        float32 (float64 for float64 input) and computed without autocast.

    Raises:
        InvalidInput: the shapes differ, there are fewer than two clips, or the temperature is not positive.
    """
    return softmax_loss(Views.gather(first, second), Comparisons.NEGATIVES, temperature)
