"""What a masked autoencoder paints, beside what it saw and what was there, as the paper's Appendix B shows it.

Axes: B window, M mel bin, N frame, K visible patch, L patch of a window, P cell of a patch.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from model.encoder.config import PATCH_SHAPES, EncoderConfig
from model.encoder.input_scale import scale_input
from model.encoder.kernels.cells import EPSILON
from model.encoder.masking import UniformMasking, n_visible
from model.encoder.patches import patch_grid, patchify
from model.training.config import TrainConfig
from model.training.learner import MaskedAutoencoder
from model.training.stream import TrainingBatch
from stores.commit import write_bytes
from stores.quantize import Quantizer

WINDOWS = 6
_TITLES = ("input", "visible", "reconstruction")


def draw(
    path: Path, learner: MaskedAutoencoder, config: TrainConfig, quantizer: Quantizer, batch: TrainingBatch
) -> None:
    """Write a PNG: a row for each of the first windows of `batch`, in ln(1 + power)."""
    device = next(learner.parameters()).device
    windows = batch.windows(config.encoder.window_frames)[:WINDOWS].to(device)
    power = torch.tensor(quantizer.table(), device=device)[windows.long()].transpose(1, 2)
    visible = _mask(config, len(windows), device)
    painted = paint(learner, power, visible, config.encoder)
    there = scale_input(power, "log1p")
    seen = torch.where(_where_visible(visible, config.encoder), there, torch.nan)
    write_bytes(path, _picture([one.cpu().numpy() for one in (there, seen, painted)]))


def paint(
    learner: MaskedAutoencoder, power: Float[Tensor, "B M N"], visible: Int64[Tensor, "B K"], config: EncoderConfig
) -> Float[Tensor, "B M N"]:
    """Windows in ln(1 + power): visible patches of the first kind as they are, hidden ones as painted."""
    kind = config.patch_kinds[0]
    cells = patchify(scale_input(power, config.input_scale), PATCH_SHAPES[kind])
    with torch.no_grad():
        seen = cells.gather(1, visible[..., None].expand(-1, -1, cells.shape[2]))
        normal = F.layer_norm(seen, seen.shape[-1:], eps=EPSILON)
        painted = _assemble(learner({kind: (normal, visible)})[kind], config)
    return torch.where(_where_visible(visible, config), scale_input(power, "log1p"), painted)


def _mask(config: TrainConfig, windows: int, device: torch.device) -> Tensor:
    kind = config.encoder.patch_kinds[0]
    kept = n_visible(config.encoder.patch_counts[kind], config.masking_ratio)
    grid = patch_grid(config.encoder.n_mels, config.encoder.window_frames, PATCH_SHAPES[kind])
    key = torch.tensor(config.seed, device=device)
    return UniformMasking().visible_patches(key, torch.arange(windows, device=device), grid, kept)


def _where_visible(visible: Tensor, config: EncoderConfig) -> Tensor:
    """Which cells belong to visible patches `[B, M, N]`."""
    kind = config.patch_kinds[0]
    patches = torch.zeros(len(visible), config.patch_counts[kind], dtype=torch.bool, device=visible.device)
    mels, frames = PATCH_SHAPES[kind]
    return _assemble(patches.scatter_(1, visible, True)[..., None].expand(-1, -1, mels * frames), config)


def _assemble(cells: Tensor, config: EncoderConfig) -> Tensor:
    """Windows `[B, M, N]` from all their patches `[B, L, P]`: the inverse of `patchify`."""
    shape = PATCH_SHAPES[config.patch_kinds[0]]
    rows, columns = patch_grid(config.n_mels, config.window_frames, shape)
    return cells.reshape(-1, rows, columns, *shape).transpose(2, 3).flatten(3).flatten(1, 2)


def _picture(columns: list[NDArray[np.float32]]) -> bytes:
    """A PNG with a row for each window of `columns`, each `[B, M, N]`."""
    rows = len(columns[0])
    figure = Figure(figsize=(9, 1.6 * rows), layout="constrained")
    for axes, place in zip(
        figure.subplots(rows, len(columns), squeeze=False).flat, np.ndindex(rows, len(columns)), strict=True
    ):
        row, column = place
        loudest = float(columns[0][row].max())
        axes.imshow(columns[column][row], origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=loudest)
        axes.set(xticks=[], yticks=[], facecolor="#d8dade", title=_TITLES[column] if row == 0 else "")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return out.getvalue()
