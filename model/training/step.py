"""One training step: codes of two windows in, the loss and its gradients out; nothing that is masked is ever embedded.

mask -> gather codes, dequantise, scale and normalise -> embed -> trunk over 5 tokens -> objective -> gradients.

Everything is drawn for the whole batch of all ranks by hashing, and each rank takes its own: a step is the same on any
number of ranks. They average their gradients when these are computed. On one GPU the step is captured as a CUDA graph
the third time it runs, so that a thousand small launches become one; no step waits for the device.

Axes: V view (2), B clip of this rank's batch, N frame, M mel bin, K visible token, L patch of a window, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from model.encoder.config import PATCH_SHAPES, PatchKind
from model.encoder.input_scale import scale_input
from model.encoder.kernels.cells import PatchLayout, cells
from model.encoder.masking import masking_policy, n_visible
from model.encoder.patches import dequantize, gather_patches_frame_major, patch_grid
from model.objectives.gather import rank, world_size
from model.objectives.mae import reconstruction_loss
from model.objectives.objective import Objective
from model.training.config import TrainConfig
from model.training.graph import Graph
from model.training.learner import MaskedAutoencoder, ModelWithHead
from model.training.stream import VIEWS, TrainingBatch
from model.training.weights import Weights
from stores.quantize import Quantizer

Seen = Mapping[PatchKind, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class StepResult:
    """What a step leaves behind, still on the device; the next step may overwrite it."""

    loss: Float[Tensor, ""]
    """Mean over the patch kinds, and over this rank's part of the batch."""
    pair: tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]] | None
    """Projections of both views (of the first patch kind), without gradient; None where nothing is projected."""


class TrainingStep:
    """Loss and gradients of one batch.

    Args:
        learner: the weights.
        objective: what is minimised, and what it remembers; mae does without, its loss has no state.
        config: masking, precision, seed.
        quantizer: what the codes of the batch mean.
    """

    def __init__(
        self,
        learner: ModelWithHead | MaskedAutoencoder,
        objective: Objective,
        config: TrainConfig,
        quantizer: Quantizer,
    ) -> None:
        self.objective, self.config = objective, config
        self.device = next(learner.parameters()).device
        self._learner, self._weights = learner, Weights(learner, config.precision)
        power = torch.tensor(quantizer.table(), device=self.device)
        self._table = scale_input(power, config.encoder.input_scale)
        self._painted_table = scale_input(power, "log1p")
        self._masking = masking_policy(config.masking)
        self._graph = Graph(self._compute) if self.device.type == "cuda" and world_size() == 1 else None

    @property
    def captured(self) -> bool:
        """Whether steps are replayed as a CUDA graph by now."""
        return self._graph is not None and self._graph.captured

    def backward(self, batch: TrainingBatch, step: int) -> StepResult:
        """Set the learner's gradients to those of `batch`; masks are a function of (seed, step).

        Raises:
            InvalidInput: the objective cannot remember a clip of the batch; it is asked while indices are on the CPU.
        """
        if not batch.indices.is_cuda:
            self.objective.require_known(batch.indices)
        codes = batch.codes.to(self.device, non_blocking=True)
        # copies always: a captured step writes the next batch's over those that it was captured with
        starts, indices = (one.to(self.device, non_blocking=True, copy=True) for one in (batch.starts, batch.indices))
        key = torch.full((), self._key(step), device=self.device)  # a launch, where a copy would wait
        self.objective.prepare(batch.epoch)
        result = self._graph(codes, starts, indices, key) if self._graph else self._compute(codes, starts, indices, key)
        self._weights.hand_over()
        return result

    def _compute(self, codes: Tensor, starts: Tensor, indices: Tensor, key: Tensor) -> StepResult:
        """From codes to gradients, without a look at any value: what a CUDA graph replays."""
        self._weights.refresh()
        seen = {
            kind: self._visible(codes, starts, key + number, kind)
            for number, kind in enumerate(self.config.encoder.patch_kinds)
        }
        outputs = functional_call(self._learner, dict(self._weights.tensors), (seen,))
        if self.config.objective.family == "mae":
            result = self._reconstruct(outputs, seen, TrainingBatch(codes, starts, indices))
        else:
            result = self._contrast(outputs, indices)
        self._weights.keep(torch.autograd.grad(result.loss, list(self._weights.tensors.values())))
        return StepResult(result.loss.detach(), result.pair)

    def _contrast(self, outputs: Mapping[PatchKind, Tensor], indices: Tensor) -> StepResult:
        pairs = [(first, second) for first, second in (both.chunk(VIEWS) for both in outputs.values())]
        losses = [self.objective(*pair, indices, kind, epoch=None) for kind, pair in enumerate(pairs)]
        first, second = pairs[0]
        return StepResult(torch.stack(losses).mean(), (first.detach(), second.detach()))

    def _reconstruct(self, outputs: Mapping[PatchKind, Tensor], seen: Seen, batch: TrainingBatch) -> StepResult:
        windows = batch.windows(self.config.encoder.window_frames)
        losses = [
            reconstruction_loss(outputs[kind], self._painted(windows, kind), visible)
            for kind, (_, visible) in seen.items()
        ]
        return StepResult(torch.stack(losses).mean(), None)

    def _painted(self, windows: Tensor, kind: PatchKind) -> Tensor:
        """What every patch should be painted as `[B, L, P]`."""
        every = torch.arange(self.config.encoder.patch_counts[kind], device=self.device).expand(len(windows), -1)
        return dequantize(gather_patches_frame_major(windows, every, PATCH_SHAPES[kind]), self._painted_table)

    def _key(self, step: int) -> int:
        """Of the step's masks; the kinds of patch take the numbers after it."""
        mixed = (self.config.seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) & (2**63 - 1)
        return mixed - 2**62  # so that adding the kind cannot overflow

    def _visible(self, codes: Tensor, starts: Tensor, key: Tensor, kind: PatchKind) -> tuple[Tensor, Tensor]:
        encoder = self.config.encoder
        grid = patch_grid(encoder.n_mels, encoder.window_frames, PATCH_SHAPES[kind])
        kept = n_visible(encoder.patch_counts[kind], self.config.masking_ratio)
        # views of all ranks, then views of all ranks: this rank's part of each
        every = torch.arange(world_size() * len(starts), device=self.device).view(VIEWS, world_size(), -1)
        visible = self._masking.visible_patches(key, every[:, rank()].flatten(), grid, kept)
        cut = PatchLayout(PATCH_SHAPES[kind], grid[1])
        return cells(codes, starts, visible, self._table, cut, self._weights.dtype), visible
