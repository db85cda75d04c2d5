"""The global contrastive loss: each clip against all others, not only those of its batch.

A batch sees few of a clip's negatives. A moving average over the clip's visits, one number u for each, stands for all
of them, which lets small batches follow the gradient of the loss over the whole corpus (SogCLR, Yuan et al. 2022).
With s the similarity, t the temperature and j over the 2N - 2 views of other clips, for every view i of clip c:

    g_i = mean over j of exp(s_ij / t)        u_i = (1 - gamma) u_c + gamma g_i, and g_i where c is seen first
    u_c = mean of u_i over both views         q_ij = exp(s_ij / t) / ((2N - 2) u_i)

    loss_i = t (log u_i + rho) - s_ip         t multiplied in: GCL, RGCL and RGCL-g
    loss_i = log u_i - s_ip / t               unscaled: FastCLIP v0

and its gradient takes q as the weights of the negatives. u is kept as its logarithm: exp(1 / 0.01) is no float32. As
u_i is at least gamma g_i, no weight exceeds 1 / gamma. The positive stands outside of u, as in SogCLR and libauc;
FastCLIP's code has exp((s_ij - s_ip) / t) inside. At gamma 1 both are one; below, here the positive is never a memory.

A step neither waits for the device nor has a shape or branch that its values decide, so it can be captured in a CUDA
graph, with `indices` on the device and `epoch` None: `prepare` and `require_known` are then called outside.

State: 4 bytes a clip and kind of patch, 20 where clips have temperatures, replicated on every rank: 80 MB for 2 million
clips of a hybrid, and every rank writes what all have gathered, so that all hold the same bits whatever their number.

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
    """The loss and what it remembers of each clip.

    Args:
        config: inner learning rate, temperature rule, scaling.
        kinds: kinds of patch; what is remembered is kept for each.
        samples: every stable index is below it.

    Raises:
        InvalidInput: there are fewer than two samples.
    """

    log_u: Tensor
    gamma: Tensor

    def __init__(self, config: ObjectiveConfig, kinds: int, samples: int) -> None:
        super().__init__()
        if samples < 2:
            raise InvalidInput(f"{samples} clips to remember; {config.name} needs the number of clips of the store")
        self.config = config
        self.temperature = Temperature(config, kinds, samples)
        # -inf, an average of nothing, marks a clip that was never seen
        self.register_buffer("log_u", torch.full((kinds, samples), -torch.inf))
        # a fact of the epoch, on the device because a captured step can read nothing else; not remembered
        self.register_buffer("gamma", torch.tensor(config.inner_learning_rate(0)), persistent=False)

    def prepare(self, epoch: int) -> None:
        """Set what the next steps need to know of `epoch`: gamma. Call it outside of a captured step."""
        self.gamma.fill_(self.config.inner_learning_rate(epoch))

    def require_known(self, indices: Int64[Tensor, " B"]) -> None:
        """Check that all of `indices` can be remembered; waits for the device they are on.

        Raises:
            InvalidInput: one is out of range.
        """
        lowest, highest = int(indices.min()), int(indices.max())
        if lowest < 0 or highest >= self.log_u.shape[1]:
            raise InvalidInput(
                f"clips {lowest} to {highest} are in the batch, but {self.config.name} remembers clips 0 to "
                f"{self.log_u.shape[1] - 1}: the shards and the run must be of one store"
            )

    def forward(
        self,
        first: Float[Tensor, "B D"],
        second: Float[Tensor, "B D"],
        indices: Int64[Tensor, " B"],
        kind: int,
        epoch: int | None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch; what is remembered of its clips moves on.

        Args:
            first: embeddings of one view of each clip, of any length and floating type.
            second: embeddings of the other view.
            indices: stable index of each clip, no clip twice, on any rank. On the CPU they are checked; on a device
                that would mean to wait for it, so `require_known` is the caller's.
            kind: number of the kind of patch that was embedded.
            epoch: passes over the clips before this one; it sets gamma. None: `prepare` has set it.

        Returns:
            The mean over this rank's views; float32 (float64 for float64), with autocast off.

        Raises:
            InvalidInput: shapes that `Views.gather` refuses, or an index on the CPU out of range.
        """
        if indices.device.type == "cpu":
            self.require_known(indices)
        if epoch is not None:
            self.prepare(epoch)
        views = Views.gather(first, second)
        with torch.no_grad(), torch.autocast(first.device.type, enabled=False):
            # on the device before it is gathered: NCCL sends nothing from the CPU
            clips = gather_rows(indices.to(first.device).repeat(2))
            temperature = self.temperature.of(kind, clips, views.own)
            own = _OwnAnchors(views, temperature[views.place], self.config.scaled)
            log_u = self._moved(own.log_g, self.log_u[kind, clips[views.place]])
            told = [log_u, own.slopes(log_u, self.config.rho)] if self.temperature.learned else [log_u]
            everyone = gather_rows(torch.stack(told, dim=1))
            self._remember(everyone, clips, kind, len(indices))
            weight = torch.ones_like(temperature) if self.config.scaled else 1 / temperature
            anchors = Anchors(everyone[:, 0] + own.log_count, temperature, weight)
            losses = own.losses(log_u, self.config.rho)
        return contrastive_loss(views, Comparisons.NEGATIVES, anchors, losses)

    def readings(self, epoch: int) -> dict[str, float]:
        """What a line of metrics says of it; waits for the device."""
        return {"gamma": self.config.inner_learning_rate(epoch), "temperature": self.temperature.average()}

    def _moved(self, log_g: Tensor, remembered: Tensor) -> Tensor:
        """The logarithm of u of own views: the moving average, or log g alone on a clip's first visit."""
        gamma = self.gamma.to(log_g.dtype)
        # at gamma 1 the first term is -inf and the sum log g, to the bit
        averaged = torch.logaddexp(torch.log1p(-gamma) + remembered, gamma.log() + log_g)
        return torch.where(remembered.isneginf(), log_g, averaged)

    def _remember(self, everyone: Tensor, clips: Tensor, kind: int, batch: int) -> None:
        """Keep what all ranks told of their views `[E, told]`, first views and second ones by turns of `batch`."""
        first, second = everyone.view(-1, 2, batch, everyone.shape[1]).unbind(1)
        first, second = first.flatten(0, 1), second.flatten(0, 1)
        rows = clips.view(-1, 2, batch)[:, 0].flatten()
        log_u = torch.logaddexp(first[:, 0], second[:, 0]) - math.log(2)
        self.log_u[kind, rows] = log_u.to(self.log_u.dtype)
        if self.temperature.learned:
            self.temperature.learn(kind, rows, (first[:, 1] + second[:, 1]) / 2)


class _OwnAnchors:
    """What this rank's views know before anything is gathered."""

    def __init__(self, views: Views, temperature: Tensor, scaled: bool) -> None:
        self.temperature, self.scaled, self.positive = temperature, scaled, views.positives
        self.log_count = math.log(len(views.everyone) - 2)
        log_sum, self._mean_negative = views.normalisers(temperature, Comparisons.NEGATIVES)
        self.log_g = log_sum - self.log_count

    def losses(self, log_u: Tensor, rho: float) -> Tensor:
        """loss_i `[A]`."""
        if self.scaled:
            return self.temperature * (log_u + rho) - self.positive
        return log_u - self.positive / self.temperature

    def slopes(self, log_u: Tensor, rho: float) -> Tensor:
        """Derivative of each loss by the logarithm of its temperature `[A]`."""
        weighted = self._mean_negative * (self.log_g - log_u).exp()  # sum over j of q_ij s_ij
        if self.scaled:
            return self.temperature * (log_u + rho) - weighted
        return (self.positive - weighted) / self.temperature
