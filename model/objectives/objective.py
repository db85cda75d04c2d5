"""The contrastive objective of a run, with one call for objectives with and without a memory of clips.

The call can be captured in a CUDA graph. Then the indices are on the device and `epoch` is None. `set_epoch(epoch)`
must be called before each replay, and `require_valid_indices` for every index that can occur before the first replay.

Axes: B clip of this rank's batch, D width.
"""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor, nn

from model.objectives.config import ObjectiveConfig
from model.objectives.dcl import dcl
from model.objectives.global_contrastive import GlobalContrastive
from model.objectives.infonce import infonce
from model.objectives.mbcl import mbcl

_LOSSES = {"infonce": infonce, "dcl": dcl, "mbcl": mbcl}


class MiniBatchObjective(nn.Module):
    """The objectives `infonce`, `dcl` and `mbcl`, with the interface of `GlobalContrastive` and without any state."""

    def __init__(self, config: ObjectiveConfig) -> None:
        super().__init__()
        self.config = config

    def forward(
        self,
        first: Float[Tensor, "B D"],
        second: Float[Tensor, "B D"],
        indices: Int64[Tensor, " B"],  # noqa: ARG002 -- these losses depend on the embeddings only
        kind: int,  # noqa: ARG002
        epoch: int | None,  # noqa: ARG002
    ) -> Float[Tensor, ""]:
        """Return the mean loss over the views of this rank."""
        return _LOSSES[self.config.family](first, second, self.config.temperature)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing, because these losses do not depend on `epoch`."""

    def require_valid_indices(self, indices: Int64[Tensor, " B"]) -> None:
        """Do nothing, because these losses accept any clip."""

    def metrics(self, epoch: int) -> dict[str, float]:  # noqa: ARG002
        """Return no metrics, because these losses have no state to report."""
        return {}


Objective = MiniBatchObjective | GlobalContrastive


def build(config: ObjectiveConfig, n_kinds: int, n_clips: int) -> Objective:
    """Return the objective of `config` with an empty memory.

    Args:
        config: family and numbers of the objective.
        n_kinds: number of patch kinds of the encoder.
        n_clips: number of clips of the stores; every stable index is below it.

    Raises:
        InvalidInput: the objective has a memory of clips, and there are fewer than two clips.
    """
    return GlobalContrastive(config, n_kinds, n_clips) if config.has_memory else MiniBatchObjective(config)
