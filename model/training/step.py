"""One training step: visible patches of two windows in, the loss out; nothing that is masked is ever embedded.

mask -> gather codes -> dequantise and scale (one table lookup) -> embed -> trunk over 5 tokens -> InfoNCE.

Axes: V view (2), B clip of the batch, N frame, M mel bin, K visible token, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from model.encoder.config import PATCH_SHAPES, PatchKind
from model.encoder.input_scale import scale_input
from model.encoder.masking import UniformMasking, n_visible
from model.encoder.patches import dequantize, gather_patches_frame_major
from model.objectives.infonce import infonce
from model.training.config import TrainConfig
from model.training.learner import Learner
from model.training.stream import VIEWS, Batch
from stores.quantize import Quantizer


@dataclass(frozen=True)
class StepResult:
    """What a step leaves behind, still on the device."""

    loss: Float[Tensor, ""]
    """Mean over the patch kinds."""
    first: Float[Tensor, "B D"]
    """Projections of the first view (of the first patch kind), without gradient."""
    second: Float[Tensor, "B D"]
    """Projections of the second view."""


class TrainingStep:
    """Loss and gradients of one batch.

    Args:
        learner: the weights.
        config: masking, temperature, precision, seed.
        quantizer: what the codes of the batch mean.
    """

    def __init__(self, learner: Learner, config: TrainConfig, quantizer: Quantizer) -> None:
        self.learner, self.config = learner, config
        self.device = next(learner.parameters()).device
        power = torch.tensor(quantizer.table(), device=self.device)
        self._table = scale_input(power, config.encoder.input_scale)
        self._masking = UniformMasking()

    def backward(self, batch: Batch, step: int) -> StepResult:
        """Add the gradients of `batch` to the learner's; masks are a function of (seed, step)."""
        pairs = self._embed(batch, self._generator(step))
        losses = [infonce(first, second, self.config.temperature) for first, second in pairs]
        loss = torch.stack(losses).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        first, second = pairs[0]
        return StepResult(loss.detach(), first.detach(), second.detach())

    def _generator(self, step: int) -> torch.Generator:
        # odd multipliers keep the steps of a seed apart in the low 32 bits, all that the CPU's generator looks at
        mixed = (self.config.seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) & (2**63 - 1)
        return torch.Generator(device=self.device).manual_seed(mixed)

    def _embed(self, batch: Batch, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        windows = batch.windows.to(self.device, non_blocking=True)
        views = {kind: self._visible(windows, kind, generator) for kind in self.config.encoder.patch_kinds}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            embeddings = self.learner(views)
        halves = [both.chunk(VIEWS) for both in embeddings.values()]
        return [(first, second) for first, second in halves]

    def _visible(self, windows: Tensor, kind: PatchKind, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        patches = self.config.encoder.patch_counts[kind]
        kept = n_visible(patches, self.config.masking_ratio)
        visible = self._masking.visible_patches(len(windows), patches, kept, generator, self.device)
        codes = gather_patches_frame_major(windows, visible, PATCH_SHAPES[kind])
        return dequantize(codes, self._table), visible
