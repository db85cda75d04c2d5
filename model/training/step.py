"""One training step: from the codes of two windows per clip to the loss and its gradients. Hidden patches are skipped.

masks -> gather codes, dequantize, scale and normalize -> embed -> trunk over 5 tokens -> objective -> gradients.

Random numbers are hashes that cover the batch of all ranks, and each rank uses its share of them. A step is therefore
the same for any number of ranks. The ranks average their gradients at the end of the step. On one GPU, the third step
is captured as a CUDA graph, which replaces a thousand small launches by one. No step waits for the device.

Axes: V view (2), B clip of this rank's share of the batch, N frame, M mel bin, K visible token, L patch of a window, D
width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from model.encoder.config import PatchKind
from model.encoder.device import sum_products_in_float32
from model.encoder.input_scale import scale_input
from model.encoder.kernels import products
from model.encoder.kernels.cells import PatchLayout, normalized_cells
from model.encoder.kernels.jit import uses_kernels
from model.encoder.kernels.product_choice import ProductChoice, choose_products
from model.encoder.masking import masking_policy
from model.encoder.masking_config import n_visible
from model.encoder.patches import dequantize, gather_patches_frame_major, patch_grid
from model.objectives.gather import rank, world_size
from model.objectives.mae import reconstruction_loss
from model.objectives.objective import Objective
from model.training.config import TrainConfig
from model.training.graph import CudaGraph
from model.training.learner import MaskedAutoencoder, ModelWithHead
from model.training.optimizer import ENCODER_PREFIX
from model.training.ranks import from_main_process
from model.training.stream import VIEWS, TrainingBatch
from model.training.weight_copies import WeightCopies
from stores.quantize import Quantizer

VisibleCells = Mapping[PatchKind, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class StepResult:
    """The result of a step, on the device; the next step may overwrite it."""

    loss: Float[Tensor, ""]
    """Mean loss over the patch kinds and over this rank's share of the batch."""
    projections: tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]] | None
    """Projections of the two views for the first patch kind, without gradient, or None for a masked autoencoder."""


class TrainingStep:
    """The computation of the loss and the gradients of a batch.

    Args:
        model: model with the weights.
        objective: loss to minimize, with its memory of clips. A masked autoencoder does not use it.
        config: masking, precision and seed.
        quantizer: quantizer of the codes of the batch.
        freezes_encoder: compute gradients of the head only.
    """

    def __init__(
        self,
        model: ModelWithHead | MaskedAutoencoder,
        objective: Objective,
        config: TrainConfig,
        quantizer: Quantizer,
        freezes_encoder: bool = False,
    ) -> None:
        self.objective, self.config = objective, config
        self.device = next(model.parameters()).device
        frozen_prefix = ENCODER_PREFIX if freezes_encoder else None
        self._model, self._weights = model, WeightCopies(model, config.precision, frozen_prefix)
        power = torch.tensor(quantizer.table(), device=self.device)
        self._input_table = scale_input(power, config.encoder.input_scale)
        self._target_table = scale_input(power, "log1p")
        self._masking = masking_policy(config.masking)
        sum_products_in_float32()
        self.product_choices = _choose_products(config, next(model.parameters()), self._weights.dtype)
        """Choice for each matrix product of the trunk; empty if there is none, as on a CPU."""
        self._graph = CudaGraph(self._compute) if self.device.type == "cuda" and world_size() == 1 else None

    @property
    def captured(self) -> bool:
        """True if steps are replayed as a CUDA graph."""
        return self._graph is not None and self._graph.captured

    def backward(self, batch: TrainingBatch, step: int) -> StepResult:
        """Compute the loss of `batch` and assign its gradients to the model; masks are a function of (seed, step).

        Raises:
            InvalidInput: the objective cannot remember a clip of the batch. This is checked if indices are on the CPU.
        """
        if not batch.indices.is_cuda:
            self.objective.require_valid_indices(batch.indices)
        codes = batch.codes.to(self.device, non_blocking=True)
        # always copied, because a captured step overwrites the tensors that it was captured with by the next batch
        starts, indices = (
            tensor.to(self.device, non_blocking=True, copy=True) for tensor in (batch.starts, batch.indices)
        )
        key = torch.full((), self._mask_key(step), device=self.device)  # a launch, whereas a copy would wait
        self.objective.set_epoch(batch.epoch)
        result = self._graph(codes, starts, indices, key) if self._graph else self._compute(codes, starts, indices, key)
        self._weights.sync_gradients()
        return result

    def _compute(self, codes: Tensor, starts: Tensor, indices: Tensor, key: Tensor) -> StepResult:
        """Compute loss and gradients without reading a value on the host; a CUDA graph replays this function."""
        self._weights.copy_weights()
        visible_cells = {
            kind: self._visible_cells(codes, starts, key + number, kind)
            for number, kind in enumerate(self.config.encoder.patch_kinds)
        }
        outputs = functional_call(self._model, self._weights.all_tensors, (visible_cells,))
        if self.config.objective.family == "mae":
            result = self._reconstruction(outputs, visible_cells, TrainingBatch(codes, starts, indices))
        else:
            result = self._contrast(outputs, indices)
        self._weights.store_gradients(torch.autograd.grad(result.loss, list(self._weights.tensors.values())))
        return StepResult(result.loss.detach(), result.projections)

    def _contrast(self, outputs: Mapping[PatchKind, Tensor], indices: Tensor) -> StepResult:
        """Return the mean contrastive loss over the patch kinds."""
        views = [(first, second) for first, second in (both.chunk(VIEWS) for both in outputs.values())]
        losses = [self.objective(*pair, indices, kind, epoch=None) for kind, pair in enumerate(views)]
        first, second = views[0]
        return StepResult(torch.stack(losses).mean(), (first.detach(), second.detach()))

    def _reconstruction(
        self, outputs: Mapping[PatchKind, Tensor], visible_cells: VisibleCells, batch: TrainingBatch
    ) -> StepResult:
        """Return the mean reconstruction loss over the patch kinds."""
        windows = batch.windows(self.config.encoder.window_frames)
        losses = [
            reconstruction_loss(outputs[kind], self._targets(windows, kind), visible)
            for kind, (_, visible) in visible_cells.items()
        ]
        return StepResult(torch.stack(losses).mean(), None)

    def _targets(self, windows: Tensor, kind: PatchKind) -> Tensor:
        """Return the reconstruction targets of all patches `[B, L, P]`."""
        encoder = self.config.encoder
        patches = torch.arange(encoder.patch_counts[kind], device=self.device).expand(len(windows), -1)
        return dequantize(gather_patches_frame_major(windows, patches, encoder.patch_shapes[kind]), self._target_table)

    def _mask_key(self, step: int) -> int:
        """Return the random key for the masks of the first patch kind; other kinds use the numbers after it."""
        mixed = (self.config.seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) & (2**63 - 1)
        return mixed - 2**62  # so that adding the number of the kind cannot overflow

    def _visible_cells(self, codes: Tensor, starts: Tensor, key: Tensor, kind: PatchKind) -> tuple[Tensor, Tensor]:
        """Return the normalized cells of the visible patches, and the indices of these patches."""
        encoder = self.config.encoder
        shape = encoder.patch_shapes[kind]
        grid = patch_grid(encoder.n_mels, encoder.window_frames, shape)
        count = n_visible(encoder.patch_counts[kind], self.config.masking_ratio)
        # numbers of the windows of all ranks: first views of all ranks, then second views of all ranks
        numbers = torch.arange(world_size() * len(starts), device=self.device).view(VIEWS, world_size(), -1)
        visible = self._masking.visible_patches(key, numbers[:, rank()].flatten(), grid, count)
        layout = PatchLayout(shape, grid[1])
        return normalized_cells(codes, starts, visible, self._input_table, layout, self._weights.dtype), visible


def _choose_products(config: TrainConfig, weight: Tensor, dtype: torch.dtype) -> tuple[ProductChoice, ...]:
    """Return the choice of rank 0 for each matrix product of the trunk, and use it in this process."""
    if not uses_kernels(weight) or dtype != torch.bfloat16:
        return ()
    visible = sum(n_visible(patches, config.masking_ratio) for patches in config.encoder.patch_counts.values())
    tokens = VIEWS * (config.batch // world_size()) * visible
    wanted, device = products.products_of_trunk(config.encoder, tokens), weight.device
    choices = from_main_process(lambda: choose_products(wanted, device), device)
    products.use({choice.product: choice.implementation for choice in choices})
    return choices
