"""The objectives in their bimodal form: an audio clip is compared with texts, and a text with audio clips.

Both sides of a pair are anchors, each with N - 1 negatives of the other side, so a pair has 2 (N - 1). Let s be the
similarity, t the temperature of an anchor, p its partner, and j a negative. The mini-batch losses take the mean over
all 2N anchors of

    -log exp(s_ip / t) / (exp(s_ip / t) + sum over j of exp(s_ij / t))

The global losses are those of FastCLIP's public code (Wei et al. 2024). Each side of a pair has its own u:

    g_i = mean over j of exp((s_ij - s_ip) / t)        u_i = (1 - gamma) u_i + gamma g_i, and g_i on the first visit
    q_ij = exp((s_ij - s_ip) / t) / ((N - 1) (u_i + eps))

    gradient of anchor i:   c sum over j of q_ij (s_ij - s_ip)',   c = 1 / t, or 1 if the loss is multiplied by t

The positive pair is inside of u here, and outside of it in `model.objectives.global_contrastive`. Temperatures follow
the code too. With S_i = sum over j of q_ij (s_ij - s_ip), the slopes by log t of a shared temperature are

    t (log u_i + rho) - 2 S_i    if the loss is multiplied by t (v3), where the paper has S_i once
    -2 S_i / t                   if not (v0)

and the slope by t of an individual temperature is log(u_i + eps) + rho - S_i / t (v2), limited to 5 either way.

Here eps is 1e-14 times the exponential of the largest exponent so far in v2, as in the code, and 1e-14 otherwise.

Ranks exchange features and two to four numbers for each anchor, and no gradients, as `model.objectives.contrast` does.

Axes: B pair of this rank's batch, A own anchor (2B: audio, then text), E anchor of all ranks, D width.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from model.objectives.bimodal_config import BimodalConfig
from model.objectives.contrast import Views, contrastive_loss
from model.objectives.gather import gather_rows
from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.repulsion import Anchors
from model.objectives.temperature import Temperature
from stores.errors import InvalidInput

LOG_EPSILON = math.log(1e-14)
"""Logarithm of the number that the public code adds to u."""
LOG_EMPTY = math.log(1e-35)
"""Logarithm of the average below which the public code takes a pair for one without a visit."""
_COPIES_OF_SLOPE = 2
"""Times that the public code counts the derivative of g by a shared temperature: for anchors and for negatives."""


class BimodalObjective(nn.Module):
    """A contrastive objective between two modalities, with its memory of both sides of each pair.

    Args:
        config: family, inner learning rate and temperature rule.
        n_pairs: number of pairs; every index is below it.

    Raises:
        InvalidInput: there are fewer than two pairs.
    """

    log_u: Tensor
    bound: Tensor

    def __init__(self, config: BimodalConfig, n_pairs: int) -> None:
        super().__init__()
        if n_pairs < 2:
            raise InvalidInput(f"{config.name} needs at least 2 pairs of audio and text (got {n_pairs})")
        self.config, self.n_pairs = config, n_pairs
        self.temperature = Temperature(config, 2, n_pairs, config.slower_at)
        if config.has_memory:
            # -inf, the logarithm of an empty average, marks a pair without a visit; row 0 is audio, and row 1 text
            self.register_buffer("log_u", torch.full((2, n_pairs), -torch.inf))
            self.register_buffer("bound", torch.zeros(2, n_pairs))

    def forward(
        self, audio: Float[Tensor, "B D"], text: Float[Tensor, "B D"], indices: Int64[Tensor, " B"], epoch: int
    ) -> Float[Tensor, ""]:
        """Return the loss of a batch and update the memory of its pairs.

        Args:
            audio: embeddings of the audio, of any length and floating type.
            text: embeddings of the text; row i belongs to row i of `audio`.
            indices: number of each pair; no pair may occur twice, on any rank.
            epoch: number of passes over the pairs before this one.

        Returns:
            Mean over the anchors of this rank, float32 (float64 for float64 input), computed without autocast.

        Raises:
            InvalidInput: the shapes differ, there are fewer than two pairs, or an index is out of range.
        """
        if indices.min() < 0 or indices.max() >= self.n_pairs:
            raise InvalidInput(
                f"pairs {int(indices.min())} to {int(indices.max())} are in the batch, but {self.config.name} has "
                f"pairs 0 to {self.n_pairs - 1}"
            )
        views = Views.gather(audio, text)
        with torch.no_grad(), torch.autocast(audio.device.type, enabled=False):
            anchors = _BimodalAnchors(views, indices)
            temperature = self.temperature.values(self._kinds(anchors.sides), anchors.pairs, views.own)
            update = self._global if self.config.has_memory else self._mini_batch
            losses, repulsion, attraction = update(anchors, temperature, epoch)
        return contrastive_loss(views, self._comparisons, repulsion, losses, attraction)

    def metrics(self, epoch: int) -> dict[str, float]:
        """Return gamma and the mean temperature for the log; waits for the device."""
        gamma = {"gamma": self.config.inner_learning_rate(epoch)} if self.config.has_memory else {}
        return {**gamma, "temperature": self.temperature.average()}

    @property
    def _comparisons(self) -> Comparisons:
        return Comparisons.OTHER_SIDE_NEGATIVES if self.config.has_memory else Comparisons.OTHER_SIDE

    def _kinds(self, sides: Tensor) -> Tensor:
        """Return the row of the temperatures of each anchor: both sides have row 0 if they share a temperature."""
        return sides if self.config.temperature_rule == "individual-by-epoch" else torch.zeros_like(sides)

    def _mini_batch(
        self, anchors: _BimodalAnchors, temperature: Tensor, epoch: int
    ) -> tuple[Tensor, Anchors, Tensor | None]:
        views, own = anchors.views, temperature[anchors.views.own_rows]
        log_z, mean_similarity = views.log_normalizers(own, self._comparisons)
        slopes = (views.positives - mean_similarity) / own
        gathered = gather_rows(torch.stack((log_z, slopes), dim=1))
        self._learn(anchors, gathered[:, 1], epoch)
        return log_z - views.positives / own, Anchors(gathered[:, 0], temperature, 1 / temperature), None

    def _global(
        self, anchors: _BimodalAnchors, temperature: Tensor, epoch: int
    ) -> tuple[Tensor, Anchors, Tensor | None]:
        views, own = anchors.views, temperature[anchors.views.own_rows]
        positive = views.positives
        log_count = math.log(len(views.all_views) // 2 - 1)
        log_sum, mean_negative = views.log_normalizers(own, self._comparisons)
        log_g = log_sum - log_count - positive / own
        own_rows = anchors.sides[views.own_rows], anchors.pairs[views.own_rows]
        log_u = self._moving_average(log_g, own_rows, self.config.inner_learning_rate(epoch))
        bound = self._bound(views, own, own_rows)
        log_divisor = torch.logaddexp(log_u, LOG_EPSILON + bound)
        share = (log_g - log_divisor).exp()
        slopes = self._slopes(own, log_u, log_divisor, share * (mean_negative - positive))
        columns = torch.stack((log_divisor + log_count + positive / own, log_u, slopes, bound), dim=1)
        gathered = gather_rows(columns)
        self.log_u[anchors.sides, anchors.pairs] = gathered[:, 1].to(self.log_u.dtype)
        self.bound[anchors.sides, anchors.pairs] = gathered[:, 3].to(self.bound.dtype)
        self._learn(anchors, gathered[:, 2], epoch)
        weight = torch.ones_like(temperature) if self.config.scaled else 1 / temperature
        losses = own * (log_u + self.config.rho) if self.config.scaled else log_u
        return losses, Anchors(gathered[:, 0], temperature, weight), weight[views.own_rows] * share

    def _moving_average(self, log_g: Tensor, own_rows: tuple[Tensor, Tensor], gamma: float) -> Tensor:
        """Return log u of own anchors: the logarithm of the moving average, or log g on a first visit."""
        if gamma == 1:
            return log_g
        stored, bound = self.log_u[own_rows].to(log_g), self.bound[own_rows].to(log_g)
        averaged = torch.logaddexp(math.log1p(-gamma) + stored, math.log(gamma) + log_g)
        return torch.where(stored - bound < LOG_EMPTY, log_g, averaged)

    def _bound(self, views: Views, temperature: Tensor, own_rows: tuple[Tensor, Tensor]) -> Tensor:
        """Return the largest exponent of each own anchor so far, at least 0, or zeros for other rules, `[A]`.

        The public code divides exponentials by those of this bound, and adds eps to the quotient. Only therefore does
        the bound have any effect.
        """
        if self.config.temperature_rule != "individual-by-epoch":
            return torch.zeros_like(temperature)
        exponent = (views.largest_similarities(self._comparisons) - views.positives) / temperature
        return torch.maximum(self.bound[own_rows].to(exponent), exponent)

    def _slopes(self, temperature: Tensor, log_u: Tensor, log_divisor: Tensor, weighted: Tensor) -> Tensor:
        """Return the derivative for each own anchor by which its temperature is learned, `[A]`.

        Args:
            temperature: temperature of each anchor.
            log_u: logarithm of u.
            log_divisor: logarithm of u + eps.
            weighted: S in the formulas of this module.
        """
        if self.config.temperature_rule == "individual-by-epoch":
            return log_divisor + self.config.rho - weighted / temperature
        if self.config.scaled:
            return temperature * (log_u + self.config.rho) - _COPIES_OF_SLOPE * weighted
        return -_COPIES_OF_SLOPE * weighted / temperature

    def _learn(self, anchors: _BimodalAnchors, slopes: Tensor, epoch: int) -> None:
        if self.temperature.learned:
            self.temperature.update(self._kinds(anchors.sides), anchors.pairs, slopes, epoch)


class _BimodalAnchors:
    """The anchors of all ranks: the pair of each, and its side."""

    def __init__(self, views: Views, indices: Tensor) -> None:
        self.views = views
        own = len(views.own)
        self.pairs = gather_rows(indices.to(views.own.device).repeat(2))
        self.sides = (torch.arange(len(self.pairs), device=self.pairs.device) % own >= own // 2).long()
