"""Views against views: who is compared with whom, on one rank or many, and the gradient that follows.

FastCLIP's reduction (Wei et al. 2024): ranks gather features and one scalar per view, and never a gradient. It works
for every loss here because each is a mean over anchors i, all of whose dependence on a feature is linear in disguise:

    d loss_i / d s_ij = c_i q_ij,   q_ij = exp(s_ij / t_i - log Z_i),   and - c_i for the partner

with s the similarity, t the temperature, c the weight and log Z the log-normaliser of the anchor. A view k of this rank
is an anchor once, and a key of every other anchor; since s is symmetric, both gradients come from its one row of s:

    d loss / d z_k = mean over views of sum over j of (c_k q_kj + c_j q_jk) z_j - (c_k + c_partner) z_partner

so what a rank lacks of the others are their features z, log Z and, where temperatures differ, t.

Averages: each rank returns the mean over its own anchors, which `DistributedDataParallel` averages over ranks to the
mean over all. Where gradients were summed over ranks, each would have to be divided by the number of ranks first.

Axes: B clip of this rank's batch, A own view (2B: first views, then second ones), E view of all ranks (rank by rank),
D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from model.objectives.gather import gather_rows, rank
from stores.errors import InvalidInput


@dataclass(frozen=True)
class Views:
    """Both views of this rank's clips, and those of all ranks."""

    own: Float[Tensor, "A D"]
    """Normalised, with a gradient."""
    everyone: Float[Tensor, "E D"]
    """Normalised, without one; own views are among them."""
    similarity: Float[Tensor, "A E"]
    """Cosine of own views and all, without a gradient."""

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
            everyone = gather_rows(own)
            return cls(own, everyone, own.detach() @ everyone.T)

    @property
    def place(self) -> slice:
        """Where own views stand among all."""
        return slice(rank() * len(self.own), (rank() + 1) * len(self.own))

    @property
    def partner(self) -> Int64[Tensor, " A"]:
        """Where the other view of each own view's clip stands among all."""
        return self._itself.roll(len(self.own) // 2)

    @property
    def others(self) -> Bool[Tensor, "A E"]:
        """Which views are not the view itself."""
        return _everywhere_but(self.similarity, self._itself)

    @property
    def negatives(self) -> Bool[Tensor, "A E"]:
        """Which views show another clip: 2N - 2 of them, if the ranks have N clips together."""
        return self.others & _everywhere_but(self.similarity, self.partner)

    @property
    def other_side(self) -> Bool[Tensor, "A E"]:
        """Which are second views, seen from a first one, and the other way round."""
        clips = len(self.own) // 2
        second = torch.arange(len(self.everyone), device=self.own.device) % len(self.own) >= clips
        across: Tensor = second != second[: len(self.own), None]
        return across

    @property
    def _itself(self) -> Tensor:
        place = self.place
        return torch.arange(place.start, place.stop, device=self.own.device)


@dataclass(frozen=True)
class Anchors:
    """What must be known of each anchor of all ranks."""

    log_normaliser: Float[Tensor, " E"]
    """log Z."""
    temperature: Float[Tensor, " E"]
    """t > 0."""
    weight: Float[Tensor, " E"]
    """c: 1 / t for a loss in units of its logits, 1 for one that is multiplied by t."""

    def pushes(self, similarity: Float[Tensor, "V E"]) -> Float[Tensor, "V E"]:
        """The products c q: how strongly each anchor pushes views away whose similarities to it these are."""
        pushed: Tensor = (similarity / self.temperature - self.log_normaliser).exp() * self.weight
        return pushed

    def __getitem__(self, place: slice) -> Anchors:
        """Some of them."""
        return Anchors(self.log_normaliser[place], self.temperature[place], self.weight[place])


def contrastive_loss(
    views: Views, keys: Bool[Tensor, "A E"], anchors: Anchors, losses: Float[Tensor, " A"]
) -> Float[Tensor, ""]:
    """The mean of `losses` as value, with the gradient that the formula above gives to own features.

    Args:
        views: who is compared.
        keys: which views are summed in an anchor's Z; the same seen from either side.
        anchors: of all ranks.
        losses: of own anchors, without a gradient.

    Returns:
        A scalar; its gradient is that of the mean over all anchors, times the number of ranks.
    """
    own, partner = anchors[views.place], views.partner
    with torch.no_grad(), torch.autocast(views.own.device.type, enabled=False):
        push = anchors.pushes(views.similarity) + own.pushes(views.similarity.T).T
        pull = (own.weight + anchors.weight[partner])[:, None] * views.everyone[partner]
        gradient = (push.masked_fill_(~keys, 0) @ views.everyone - pull) / len(views.own)
    attached = (views.own * gradient).sum()
    return losses.mean() + (attached - attached.detach())


def softmax_loss(views: Views, keys: Bool[Tensor, "A E"], temperature: float) -> Float[Tensor, ""]:
    """Cross-entropy of finding each view's partner among `keys`, which must hold it; t > 0.

    Raises:
        InvalidInput: the temperature is not positive.
    """
    if not temperature > 0:
        raise InvalidInput(f"temperature is {temperature}; it must be positive: 0.1 is the published value")
    logits = (views.similarity / temperature).masked_fill(~keys, -torch.inf)
    log_normaliser = logits.logsumexp(dim=1)
    losses = log_normaliser - logits.gather(1, views.partner[:, None]).squeeze(1)
    everyone = gather_rows(log_normaliser)
    constant = torch.full_like(everyone, temperature)
    return contrastive_loss(views, keys, Anchors(everyone, constant, 1 / constant), losses)


def _everywhere_but(like: Tensor, column: Tensor) -> Tensor:
    return torch.ones_like(like, dtype=torch.bool).scatter_(1, column[:, None], False)


def _require_pairs(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise InvalidInput(
            f"views have shapes {list(first.shape)} and {list(second.shape)}; both must be the same [B, D] with B of "
            "at least 2, for the other clips are the negatives: raise the batch size"
        )
