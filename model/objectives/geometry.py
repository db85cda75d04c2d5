"""How embeddings lie on the sphere (Wang, Isola 2020): whether partners meet and the rest spread out.

In: embeddings `[B, D]`. Out: one scalar each, in float32, without a gradient: these are read, not trained on.

Axes: B clip of the batch, D width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor

from stores.errors import InvalidInput


def alignment(a: Float[Tensor, "B D"], b: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Mean squared distance between the normalised views of a clip: 0 when they meet, 2 when unrelated, 4 at most."""
    with torch.no_grad():
        return (_on_sphere(a) - _on_sphere(b)).square().sum(dim=1).mean()


def uniformity(embeddings: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Log of the mean over pairs of exp(-2 * squared distance), normalised: 0 when collapsed, near -4 when spread.

    Costs a B x B matrix.

    Raises:
        InvalidInput: there are fewer than two embeddings.
    """
    if len(embeddings) < 2:
        raise InvalidInput(f"uniformity of {len(embeddings)} embeddings; pairs need at least 2: give a whole batch")
    with torch.no_grad():
        points = _on_sphere(embeddings)
        # on the sphere |x - y|^2 = 2 - 2 x.y
        exponents = (4 * (points @ points.T) - 4).fill_diagonal_(-torch.inf)
        return exponents.flatten().logsumexp(dim=0) - math.log(len(points) * (len(points) - 1))


def _on_sphere(embeddings: Tensor) -> Tensor:
    return F.normalize(embeddings.float(), dim=1)
