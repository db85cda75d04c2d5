"""The comparison of views with views, on one rank or several, and the gradient of contrastive losses.

This is the gradient reduction of FastCLIP (Wei et al. 2024): ranks gather features and one scalar per view, but no
gradients. It applies to every loss here, because each is a mean over anchors i with these derivatives:

    d loss_i / d s_ij = c_i q_ij,   q_ij = exp(s_ij / t_i - log Z_i),   and - c_i for the partner

where s is the similarity, t the temperature, c the weight and log Z the log-normalizer of the anchor. A view k of this
rank is an anchor itself, and it is a compared view for each anchor j. Because s is symmetric, both gradients come from
one row of s:

    d loss / d z_k = mean over views of sum over j of (c_k q_kj + c_j q_jk) z_j - (c_k + c_partner) z_partner

From other ranks, a rank therefore needs their features z, log Z and, if temperatures differ, t.

The sums over all pairs of views are computed in `model.objectives.kernels`. On a GPU no matrix `[A, E]` is ever in
memory as a whole, and views that arrive in bfloat16 are multiplied in bfloat16 and accumulated in float32. On a CPU
there are a few such matrices at a time, of 268 MB each for 4,096 clips. Nothing here waits for the device.

Averages: each rank returns the mean over its own anchors, and gradients are averaged over ranks, so the result is the
mean over all anchors. If gradients were summed over ranks, each would have to be divided by the number of ranks first.

Axes: B clip of this rank's batch, A own view (2B: first views, then second views), E view of all ranks (rank by rank),
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

from model.encoder.kernels.jit import uses_kernels
from model.objectives.gather import gather_rows, rank
from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.log_normalizers import log_normalizers
from model.objectives.kernels.repulsion import Anchors, repulsion
from stores.errors import InvalidInput


@dataclass(frozen=True)
class Views:
    """Both views of this rank's clips, and the views of all ranks."""

    own: Float[Tensor, "A D"]
    """Normalized features of own views, with a gradient."""
    all_views: Float[Tensor, "E D"]
    """Normalized features of the views of all ranks, own views included, without a gradient."""
    in_bfloat16: bool = False
    """True if the embeddings were bfloat16, so that their products may be computed in bfloat16."""

    @classmethod
    def gather(cls, first: Float[Tensor, "B D"], second: Float[Tensor, "B D"]) -> Views:
        """Return the views of all ranks, from embeddings of any length and floating type.

        Row i of both arguments belongs to the same clip. Features are float32 (float64 for float64) and computed
        without autocast.

        Raises:
            InvalidInput: the shapes differ, or there are fewer than two clips.
        """
        _require_pairs(first, second)
        with torch.autocast(first.device.type, enabled=False):
            both = torch.cat((first, second))
            own = F.normalize(both.to(torch.promote_types(both.dtype, torch.float32)), dim=1)
            return cls(own, gather_rows(own), both.dtype == torch.bfloat16)

    @property
    def own_rows(self) -> slice:
        """Rows of own views among all views."""
        return slice(rank() * len(self.own), (rank() + 1) * len(self.own))

    @property
    def partners(self) -> Float[Tensor, "A D"]:
        """Features of the partner of each own view, without a gradient."""
        return self.swap_views(self.own.detach())

    @property
    def positives(self) -> Float[Tensor, " A"]:
        """Cosine similarities of own views and their partners, without a gradient."""
        return (self.own.detach() * self.partners).sum(dim=1)

    @staticmethod
    def swap_views(rows: Float[Tensor, "A ..."]) -> Float[Tensor, "A ..."]:
        """Return rows for the partners of own views from rows for own views: first and second views are exchanged."""
        return rows.roll(len(rows) // 2, dims=0)

    def log_normalizers(
        self, temperature: Float[Tensor, " A"], comparisons: Comparisons
    ) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
        """Return log Z of each own view, and the mean similarity to the compared views under the weights in Z."""
        return log_normalizers(*self._features, temperature, comparisons, self.own_rows.start)

    def largest_similarities(self, comparisons: Comparisons) -> Float[Tensor, " A"]:
        """Return the largest similarity of each own view to its compared views, from a matrix `[A, E]` in memory."""
        own, all_views = self._features
        mask = comparisons.mask(len(own), len(all_views), self.own_rows.start, own.device)
        return (own @ all_views.T).to(self.own.dtype).masked_fill_(~mask, -torch.inf).amax(dim=1)

    def repulsion(self, anchors: Anchors, comparisons: Comparisons) -> Float[Tensor, "A D"]:
        """Return the repulsion gradient of each own view, which is the sum over j in the formula of this module."""
        return repulsion(*self._features, anchors, comparisons, self.own_rows.start)

    @cached_property
    def _features(self) -> tuple[Tensor, Tensor]:
        """Features of own views and of all views, in the type in which their products are computed."""
        use_bfloat16 = self.in_bfloat16 and uses_kernels(self.own)
        all_views = self.all_views.bfloat16() if use_bfloat16 else self.all_views
        return all_views[self.own_rows], all_views


def contrastive_loss(
    views: Views,
    comparisons: Comparisons,
    anchors: Anchors,
    losses: Float[Tensor, " A"],
    attraction_weight: Float[Tensor, " A"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean of `losses`, with the gradient for own features that the formula of this module gives.

    Args:
        views: features of the views that are compared.
        comparisons: rule for the views that are summed in the Z of an anchor.
        anchors: anchors of all ranks.
        losses: losses of own anchors, without a gradient.
        attraction_weight: factor of the partner in the gradient of each own anchor, where it is not the weight c.

    Returns:
        A scalar. Its gradient is that of the mean over all anchors, times the number of ranks.
    """
    with torch.no_grad(), torch.autocast(views.own.device.type, enabled=False):
        weight = anchors[views.own_rows].weight if attraction_weight is None else attraction_weight
        attraction = (weight + views.swap_views(weight))[:, None] * views.partners
        gradient = (views.repulsion(anchors, comparisons) - attraction) / len(views.own)
    loss: Tensor = _MeanWithGradient.apply(views.own, gradient, losses)  # type: ignore[no-untyped-call]
    return loss


class _MeanWithGradient(torch.autograd.Function):
    """The mean of losses that have no gradient of their own, with an explicit gradient for own features."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, gradient: Tensor, losses: Tensor) -> Tensor:  # noqa: ARG004 -- gets the gradient
        """Return the mean of `losses`; save the gradient."""
        ctx.save_for_backward(gradient)
        return losses.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor, None, None]:
        """Return the saved gradient of own features, times the gradient of the loss."""
        (gradient,) = ctx.saved_tensors
        return grad_loss * gradient, None, None


def softmax_loss(views: Views, comparisons: Comparisons, temperature: float) -> Float[Tensor, ""]:
    """Return the mean of log Z - s / t over views, where Z sums the views that a view is compared with.

    This is the cross-entropy of identifying the partner, with the similarity s, if the partner is among these views.

    Args:
        views: features of the views.
        comparisons: rule for the views that are summed in Z.
        temperature: t > 0.

    Raises:
        InvalidInput: the temperature is not positive.
    """
    if not temperature > 0:
        raise InvalidInput(f"temperature must be positive (got {temperature}); the published value is 0.1")
    with torch.autocast(views.own.device.type, enabled=False):
        constant = views.own.new_full((len(views.all_views),), temperature)
        log_z, _ = views.log_normalizers(constant[views.own_rows], comparisons)
        losses = log_z - views.positives / temperature
        anchors = Anchors(gather_rows(log_z), constant, 1 / constant)
    return contrastive_loss(views, comparisons, anchors, losses)


def _require_pairs(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise InvalidInput(
            f"views have shapes {list(first.shape)} and {list(second.shape)}, but both must have the same shape [B, D] "
            "with B of at least 2, because other clips are the negatives; raise the batch size"
        )
