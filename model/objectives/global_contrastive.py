"""The global contrastive loss, which compares each clip with all others and not only with those of its batch.

A batch contains few of a clip's negatives. A moving average over the visits of the clip, one number u for each clip,
stands for all negatives, so that small batches follow the gradient of the loss over the whole corpus (SogCLR, Yuan et
al. 2022). Let s be the similarity, t the temperature, p the partner of view i, and j one of the 2N - 2 views of other
clips. For every view i of clip c:

    g_i = mean over j of exp(s_ij / t)        u_i = (1 - gamma) u_c + gamma g_i, and g_i on the first visit of c
    u_c = mean of u_i over both views         q_ij = exp(s_ij / t) / ((2N - 2) u_i)

    loss_i = t (log u_i + rho) - s_ip         if the loss is multiplied by t: GCL, RGCL and RGCL-g
    loss_i = log u_i - s_ip / t               if not: FastCLIP v0

The gradient uses q as the weights of the negatives. The logarithm of u is stored, because float32 cannot represent
exp(1 / 0.01). u_i is at least gamma g_i, so no weight exceeds 1 / gamma. The positive pair is outside of u, as in
SogCLR and libauc, while FastCLIP's code has exp((s_ij - s_ip) / t) inside. At gamma 1 both are equal. Below 1, the
positive pair never comes from the memory here.

A step neither waits for the device nor has a shape or a branch that depends on values. It can therefore be captured in
a CUDA graph, with `indices` on the device and `epoch` None. `set_epoch` and `require_valid_indices` are then called
outside of the graph.

The state takes 4 bytes per clip and patch kind, or 20 bytes if clips have their own temperatures. That is 80 MB for
2 million clips of a hybrid. Every rank holds a copy and writes what all ranks have gathered, so all ranks hold the same
bits, whatever their number.

Axes: B clip of this rank's batch, N clip of all ranks, A own view, E view of all ranks, D width.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from model.objectives.config import ObjectiveConfig
from model.objectives.contrast import Views, contrastive_loss
from model.objectives.gather import gather_rows
from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.repulsion import Anchors
from model.objectives.temperature import Temperature
from stores.errors import InvalidInput


class GlobalContrastive(nn.Module):
    """The global contrastive loss and its memory of each clip.

    Args:
        config: inner learning rate, temperature rule and scaling.
        n_kinds: number of patch kinds, which have separate memories.
        n_clips: number of clips; every stable index is below it.

    Raises:
        InvalidInput: there are fewer than two clips.
    """

    log_u: Tensor
    gamma: Tensor

    def __init__(self, config: ObjectiveConfig, n_kinds: int, n_clips: int) -> None:
        super().__init__()
        if n_clips < 2:
            raise InvalidInput(
                f"{config.name} needs the number of clips of the stores, at least 2, for its memory (got {n_clips})"
            )
        self.config = config
        self.temperature = Temperature(config, n_kinds, n_clips)
        # -inf, the logarithm of an empty average, marks a clip without a visit
        self.register_buffer("log_u", torch.full((n_kinds, n_clips), -torch.inf))
        # on the device, because a captured step can read nothing else; checkpoints do not contain it
        self.register_buffer("gamma", torch.tensor(config.inner_learning_rate(0)), persistent=False)

    def set_epoch(self, epoch: int) -> None:
        """Set gamma for the steps of `epoch`; call this outside of a captured step."""
        self.gamma.fill_(self.config.inner_learning_rate(epoch))

    def require_valid_indices(self, indices: Int64[Tensor, " B"]) -> None:
        """Check that the memory has a row for each of `indices`; waits for their device.

        Raises:
            InvalidInput: an index is out of range.
        """
        lowest, highest = int(indices.min()), int(indices.max())
        if lowest < 0 or highest >= self.log_u.shape[1]:
            raise InvalidInput(
                f"clips {lowest} to {highest} are in the batch, but {self.config.name} remembers clips 0 to "
                f"{self.log_u.shape[1] - 1}; train on the shards of the stores that the run was started with"
            )

    def forward(
        self,
        first: Float[Tensor, "B D"],
        second: Float[Tensor, "B D"],
        indices: Int64[Tensor, " B"],
        kind: int,
        epoch: int | None,
    ) -> Float[Tensor, ""]:
        """Return the loss of a batch and update the memory of its clips.

        Args:
            first: embeddings of one view of each clip, of any length and floating type.
            second: embeddings of the other view.
            indices: stable index of each clip; no clip may occur twice, on any rank. Indices on the CPU are checked.
                A check of indices on a device would wait for it, so the caller must use `require_valid_indices`.
            kind: number of the patch kind that was embedded.
            epoch: number of passes over the clips before this one, which sets gamma; None if `set_epoch` has set it.

        Returns:
            Mean over the views of this rank, float32 (float64 for float64 input), computed without autocast.

        Raises:
            InvalidInput: `Views.gather` does not accept the shapes, or an index on the CPU is out of range.
        """
        if indices.device.type == "cpu":
            self.require_valid_indices(indices)
        if epoch is not None:
            self.set_epoch(epoch)
        views = Views.gather(first, second)
        with torch.no_grad(), torch.autocast(first.device.type, enabled=False):
            # moved to the device before gathering, because NCCL sends nothing from the CPU
            clips = gather_rows(indices.to(first.device).repeat(2))
            temperature = self.temperature.values(kind, clips, views.own)
            own = _OwnAnchors(views, temperature[views.own_rows], self.config.scaled)
            log_u = self._moving_average(own.log_g, self.log_u[kind, clips[views.own_rows]])
            columns = [log_u, own.gradients(log_u, self.config.rho)] if self.temperature.learned else [log_u]
            gathered = gather_rows(torch.stack(columns, dim=1))
            self._update_memory(gathered, clips, kind, len(indices))
            weight = torch.ones_like(temperature) if self.config.scaled else 1 / temperature
            anchors = Anchors(gathered[:, 0] + own.log_count, temperature, weight)
            losses = own.losses(log_u, self.config.rho)
        return contrastive_loss(views, Comparisons.NEGATIVES, anchors, losses)

    def metrics(self, epoch: int) -> dict[str, float]:
        """Return gamma and the mean temperature for the metrics log; waits for the device."""
        return {"gamma": self.config.inner_learning_rate(epoch), "temperature": self.temperature.average()}

    def _moving_average(self, log_g: Tensor, stored: Tensor) -> Tensor:
        """Return log u of own views: the logarithm of the moving average, or log g on the first visit of a clip."""
        gamma = self.gamma.to(log_g.dtype)
        # at gamma 1 the first term is -inf, and the result is exactly log g
        averaged = torch.logaddexp(torch.log1p(-gamma) + stored, gamma.log() + log_g)
        return torch.where(stored.isneginf(), log_g, averaged)

    def _update_memory(self, gathered: Tensor, clips: Tensor, kind: int, batch: int) -> None:
        """Store the values of all ranks, `[E, columns]`, which are `batch` first and `batch` second views per rank."""
        first, second = gathered.view(-1, 2, batch, gathered.shape[1]).unbind(1)
        first, second = first.flatten(0, 1), second.flatten(0, 1)
        rows = clips.view(-1, 2, batch)[:, 0].flatten()
        log_u = torch.logaddexp(first[:, 0], second[:, 0]) - math.log(2)
        self.log_u[kind, rows] = log_u.to(self.log_u.dtype)
        if self.temperature.learned:
            self.temperature.update(kind, rows, (first[:, 1] + second[:, 1]) / 2)


class _OwnAnchors:
    """The values of this rank's views that need no communication."""

    def __init__(self, views: Views, temperature: Tensor, scaled: bool) -> None:
        self.temperature, self.scaled, self.positive = temperature, scaled, views.positives
        self.log_count = math.log(len(views.all_views) - 2)
        log_sum, self._mean_negative = views.log_normalizers(temperature, Comparisons.NEGATIVES)
        self.log_g = log_sum - self.log_count

    def losses(self, log_u: Tensor, rho: float) -> Tensor:
        """Return loss_i, `[A]`."""
        if self.scaled:
            return self.temperature * (log_u + rho) - self.positive
        return log_u - self.positive / self.temperature

    def gradients(self, log_u: Tensor, rho: float) -> Tensor:
        """Return the derivative of each loss with respect to the logarithm of its temperature, `[A]`."""
        weighted = self._mean_negative * (self.log_g - log_u).exp()  # sum over j of q_ij s_ij
        if self.scaled:
            return self.temperature * (log_u + rho) - weighted
        return (self.positive - weighted) / self.temperature
