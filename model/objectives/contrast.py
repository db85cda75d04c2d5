"""Views against views: who is compared with whom, on one rank or many, and the gradient that follows.

FastCLIP's reduction (Wei et al. 2024): ranks gather features and one scalar per view, and never a gradient. It works
for every loss here because each is a mean over anchors i, all of whose dependence on a feature is linear in disguise:

    d loss_i / d s_ij = c_i q_ij,   q_ij = exp(s_ij / t_i - log Z_i),   and - c_i for the partner

with s the similarity, t the temperature, c the weight and log Z the log-normaliser of the anchor. A view k of this rank
is an anchor once, and a key of every other anchor; since s is symmetric, both gradients come from its one row of s:

    d loss / d z_k = mean over views of sum over j of (c_k q_kj + c_j q_jk) z_j - (c_k + c_partner) z_partner

so what a rank lacks of the others are their features z, log Z and, where temperatures differ, t.

What is computed of every pair of views stands in `model.objectives.kernels`. On a GPU no matrix `[A, E]` is ever whole
in memory, and products of views that arrive in bfloat16 are bfloat16's, accumulated in float32; on a CPU there are a
few such matrices at a time, 268 MB each for 4,096 clips. Nothing here waits for the device.

Averages: each rank returns the mean over its own anchors; gradients are averaged over ranks, which makes it the
mean over all. Where gradients were summed over ranks, each would have to be divided by the number of ranks first.

Axes: B clip of this rank's batch, A own view (2B: first views, then second ones), E view of all ranks (rank by rank),
D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from model.encoder.kernels.jit import fused
from model.objectives.gather import gather_rows, rank
from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.log_normalizers import normalisers
from model.objectives.kernels.repulsion import Anchors, pushes
from stores.errors import InvalidInput


@dataclass(frozen=True)
class Views:
    """Both views of this rank's clips, and those of all ranks."""

    own: Float[Tensor, "A D"]
    """Normalised, with a gradient."""
    everyone: Float[Tensor, "E D"]
    """Normalised, without one; own views are among them."""
    coarse: bool = False
    """Whether they came in bfloat16, so that products of them need be no finer."""

    @classmethod
    def gather(cls, first: Float[Tensor, "B D"], second: Float[Tensor, "B D"]) -> Views:
        """Views of all ranks, from embeddings of any length and floating type; row i of both is one clip.

        Float32 (float64 for float64), with autocast off.

        Raises:
            InvalidInput: the shapes differ, or there are fewer than two clips.
        """
        _require_pairs(first, second)
        with torch.autocast(first.device.type, enabled=False):
            both = torch.cat((first, second))
            own = F.normalize(both.to(torch.promote_types(both.dtype, torch.float32)), dim=1)
            return cls(own, gather_rows(own), both.dtype == torch.bfloat16)

    @property
    def place(self) -> slice:
        """Where own views stand among all."""
        return slice(rank() * len(self.own), (rank() + 1) * len(self.own))

    @property
    def partners(self) -> Float[Tensor, "A D"]:
        """The other view of each own view's clip, without a gradient."""
        return self.swapped(self.own.detach())

    @property
    def positives(self) -> Float[Tensor, " A"]:
        """Cosine of own views and their partners, without a gradient."""
        return (self.own.detach() * self.partners).sum(dim=1)

    @staticmethod
    def swapped(rows: Float[Tensor, "A ..."]) -> Float[Tensor, "A ..."]:
        """What is told of own views `rows`, told of their partners: first and second views change places."""
        return rows.roll(len(rows) // 2, dims=0)

    def normalisers(
        self, temperature: Float[Tensor, " A"], keys: Comparisons
    ) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
        """Log Z of each own view, and its mean similarity to `keys` under the weights that Z normalises."""
        return normalisers(*self._features, temperature, keys, self.place.start)

    def pushes(self, anchors: Anchors, keys: Comparisons) -> Float[Tensor, "A D"]:
        """How all `anchors` push each own view away: the sum over j in the formula above."""
        return pushes(*self._features, anchors, keys, self.place.start)

    @cached_property
    def _features(self) -> tuple[Tensor, Tensor]:
        """Own views and all, in the type that their products are computed in."""
        everyone = self.everyone.bfloat16() if self.coarse and fused(self.own) else self.everyone
        return everyone[self.place], everyone


def contrastive_loss(
    views: Views, keys: Comparisons, anchors: Anchors, losses: Float[Tensor, " A"]
) -> Float[Tensor, ""]:
    """The mean of `losses` as value, with the gradient that the formula above gives to own features.

    Args:
        views: who is compared.
        keys: which views are summed in an anchor's Z.
        anchors: of all ranks.
        losses: of own anchors, without a gradient.

    Returns:
        A scalar; its gradient is that of the mean over all anchors, times the number of ranks.
    """
    with torch.no_grad(), torch.autocast(views.own.device.type, enabled=False):
        weight = anchors[views.place].weight
        pull = (weight + views.swapped(weight))[:, None] * views.partners
        gradient = (views.pushes(anchors, keys) - pull) / len(views.own)
    loss: Tensor = _GradientWritten.apply(views.own, gradient, losses)  # type: ignore[no-untyped-call]
    return loss


class _GradientWritten(torch.autograd.Function):
    """The mean of losses that have no gradient, with the one that is given for own features."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, gradient: Tensor, losses: Tensor) -> Tensor:  # noqa: ARG004 -- whose it is
        """The mean of `losses`."""
        ctx.save_for_backward(gradient)
        return losses.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor, None, None]:
        """Of own features: what was given."""
        (gradient,) = ctx.saved_tensors
        return of_loss * gradient, None, None


def softmax_loss(views: Views, keys: Comparisons, temperature: float) -> Float[Tensor, ""]:
    """Cross-entropy of finding each view's partner among `keys`, which must hold it; t > 0.

    Raises:
        InvalidInput: the temperature is not positive.
    """
    if not temperature > 0:
        raise InvalidInput(f"temperature is {temperature}; it must be positive: 0.1 is the published value")
    with torch.autocast(views.own.device.type, enabled=False):
        constant = views.own.new_full((len(views.everyone),), temperature)
        log_normaliser, _ = views.normalisers(constant[views.place], keys)
        losses = log_normaliser - views.positives / temperature
        anchors = Anchors(gather_rows(log_normaliser), constant, 1 / constant)
    return contrastive_loss(views, keys, anchors, losses)


def _require_pairs(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise InvalidInput(
            f"views have shapes {list(first.shape)} and {list(second.shape)}; both must be the same [B, D] with B of "
            "at least 2, for the other clips are the negatives: raise the batch size"
        )
