"""Alignment and uniformity of embeddings on the unit sphere (Wang, Isola 2020).

Alignment measures how close the two views of a clip are, and uniformity how far all embeddings spread out. In:
embeddings `[B, D]`. Out: a scalar in float32, without a gradient, because these numbers are logged and not trained on.

Axes: B clip of the batch, D width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor

from stores.errors import InvalidInput


def alignment(first: Float[Tensor, "B D"], second: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Return the mean squared distance between the normalized views of a clip, from 0 to 4.

    It is 0 for equal views and 2 for unrelated views. Row i of both arguments belongs to the same clip.
    """
    with torch.no_grad():
        return (_on_sphere(first) - _on_sphere(second)).square().sum(dim=1).mean()


def uniformity(embeddings: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Return the logarithm of the mean over pairs of exp(-2 * squared distance) of normalized embeddings.

    It is 0 if all embeddings are equal, and near -4 if they spread out evenly. It needs a B x B matrix.

    Raises:
        InvalidInput: there are fewer than two embeddings.
    """
    if len(embeddings) < 2:
        raise InvalidInput(f"uniformity needs at least 2 embeddings (got {len(embeddings)}); pass a whole batch")
    with torch.no_grad():
        points = _on_sphere(embeddings)
        # on the unit sphere |x - y|^2 = 2 - 2 x.y
        exponents = (4 * (points @ points.T) - 4).fill_diagonal_(-torch.inf)
        return exponents.flatten().logsumexp(dim=0) - math.log(len(points) * (len(points) - 1))


def _on_sphere(embeddings: Tensor) -> Tensor:
    return F.normalize(embeddings.float(), dim=1)
