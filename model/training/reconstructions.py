"""Pictures of windows, their visible patches and their reconstructions, as in the paper's Appendix B.

Axes: B window, M mel bin, N frame, K visible patch, L patch of a window, P cell of a patch.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from model.encoder.config import EncoderConfig
from model.encoder.input_scale import scale_input
from model.encoder.kernels.cells import EPSILON
from model.encoder.masking import UniformMasking
from model.encoder.masking_config import n_visible
from model.encoder.patches import patch_grid, patchify
from model.training.config import TrainConfig
from model.training.learner import MaskedAutoencoder
from model.training.stream import TrainingBatch
from stores.commit import write_bytes
from stores.quantize import Quantizer

WINDOWS = 6
_TITLES = ("input", "visible", "reconstruction")


def draw_reconstructions(
    path: Path, model: MaskedAutoencoder, config: TrainConfig, quantizer: Quantizer, batch: TrainingBatch
) -> None:
    """Write a PNG with one row for each of the first windows of `batch`, in ln(1 + power)."""
    device = next(model.parameters()).device
    windows = batch.windows(config.encoder.window_frames)[:WINDOWS].to(device)
    power = torch.tensor(quantizer.table(), device=device)[windows.long()].transpose(1, 2)
    visible = _visible_patches(config, len(windows), device)
    reconstructed = reconstruct(model, power, visible, config.encoder)
    original = scale_input(power, "log1p")
    masked = torch.where(_visible_cells(visible, config.encoder), original, torch.nan)
    write_bytes(path, _picture([column.cpu().numpy() for column in (original, masked, reconstructed)]))


def reconstruct(
    model: MaskedAutoencoder, power: Float[Tensor, "B M N"], visible: Int64[Tensor, "B K"], config: EncoderConfig
) -> Float[Tensor, "B M N"]:
    """Return windows in ln(1 + power) in which the hidden patches are predicted by the model.

    Only the first patch kind of the encoder is used.

    Args:
        model: trained masked autoencoder.
        power: windows in mel power.
        visible: indices of the visible patches.
        config: settings of the encoder.
    """
    kind = config.patch_kinds[0]
    cells = patchify(scale_input(power, config.input_scale), config.patch_shapes[kind])
    with torch.no_grad():
        visible_cells = cells.gather(1, visible[..., None].expand(-1, -1, cells.shape[2]))
        normalized = F.layer_norm(visible_cells, visible_cells.shape[-1:], eps=EPSILON)
        predicted = _assemble(model({kind: (normalized, visible)})[kind], config)
    return torch.where(_visible_cells(visible, config), scale_input(power, "log1p"), predicted)


def _visible_patches(config: TrainConfig, windows: int, device: torch.device) -> Tensor:
    """Return the indices `[B, K]` of random visible patches."""
    kind = config.encoder.patch_kinds[0]
    count = n_visible(config.encoder.patch_counts[kind], config.masking_ratio)
    grid = patch_grid(config.encoder.n_mels, config.encoder.window_frames, config.encoder.patch_shapes[kind])
    key = torch.tensor(config.seed, device=device)
    return UniformMasking().visible_patches(key, torch.arange(windows, device=device), grid, count)


def _visible_cells(visible: Tensor, config: EncoderConfig) -> Tensor:
    """Return whether each cell belongs to a visible patch `[B, M, N]`."""
    kind = config.patch_kinds[0]
    patches = torch.zeros(len(visible), config.patch_counts[kind], dtype=torch.bool, device=visible.device)
    mels, frames = config.patch_shapes[kind]
    return _assemble(patches.scatter_(1, visible, True)[..., None].expand(-1, -1, mels * frames), config)


def _assemble(cells: Tensor, config: EncoderConfig) -> Tensor:
    """Return windows `[B, M, N]` from all their patches `[B, L, P]`; the inverse of `patchify`."""
    shape = config.patch_shapes[config.patch_kinds[0]]
    rows, columns = patch_grid(config.n_mels, config.window_frames, shape)
    return cells.reshape(-1, rows, columns, *shape).transpose(2, 3).flatten(3).flatten(1, 2)


def _picture(columns: list[NDArray[np.float32]]) -> bytes:
    """Return a PNG with one row for each window of `columns`, each `[B, M, N]`."""
    from matplotlib.figure import Figure

    rows = len(columns[0])
    figure = Figure(figsize=(9, 1.6 * rows), layout="constrained")
    grid = figure.subplots(rows, len(columns), squeeze=False)
    for (row, column), axes in np.ndenumerate(grid):
        maximum = float(columns[0][row].max())
        axes.imshow(columns[column][row], origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=maximum)
        axes.set(xticks=[], yticks=[], facecolor="#d8dade", title=_TITLES[column] if row == 0 else "")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
