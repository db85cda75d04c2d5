"""InfoNCE between two views of each clip, with every other view of the batch as a negative.

In: two batches of embeddings `[B, D]`. Out: one scalar. Costs the 2B x 2B matrix of similarities in float32, 268 MB for
4,096 clips, about three times over with its gradient.

For hybrid the caller takes the loss of each kind of patch alone; the public code averages the two.

Axes: B clip of the batch, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor

from stores.errors import InvalidInput


def infonce(
    a: Float[Tensor, "B D"], b: Float[Tensor, "B D"], temperature: float | Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Mean cross-entropy of finding each view's partner among the 2B - 1 other views.

    With all 2B views z normalised and p(i) the partner of i, over every i from both sides (NT-Xent, Chen et al. 2020):

        -log exp(z_i . z_p(i) / t) / sum over j != i of exp(z_i . z_j / t)

    Args:
        a: embeddings of one view of each clip, of any length and floating type.
        b: embeddings of the other view; row i belongs to row i of `a`.
        temperature: t > 0; 0.1 as published. A tensor (its sign is not checked) receives a gradient.

    Returns:
        A scalar >= 0, log(2B - 1) when all views are alike; float32 (float64 for float64), with autocast off.

    Raises:
        InvalidInput: the shapes differ, there are fewer than two clips, or the temperature is not positive.
    """
    _require_pairs(a, b, temperature)
    with torch.autocast(a.device.type, enabled=False):
        views = torch.cat((a, b))
        views = F.normalize(views.to(torch.promote_types(views.dtype, torch.float32)), dim=1)
        # scaled before masked: -inf / temperature would make the temperature's gradient NaN
        logits = (views / temperature) @ views.T
        itself = torch.eye(views.shape[0], dtype=torch.bool, device=views.device)
        partner = torch.arange(views.shape[0], device=views.device).roll(a.shape[0])
        return F.cross_entropy(logits.masked_fill(itself, -torch.inf), partner)


def _require_pairs(a: Tensor, b: Tensor, temperature: float | Tensor) -> None:
    if a.shape != b.shape or a.ndim != 2 or len(a) < 2:
        raise InvalidInput(
            f"views have shapes {list(a.shape)} and {list(b.shape)}; both must be the same [B, D] with B of at least "
            "2, for the other clips are the negatives: raise the batch size"
        )
    # a tensor is not looked at: reading it would make the host wait for the device
    if not isinstance(temperature, Tensor) and not temperature > 0:
        raise InvalidInput(f"temperature is {temperature}; it must be positive: 0.1 is the published value")
