"""The normalized cells of visible patches: gathering, dequantization, input scale and normalization in one kernel.

In: codes of whole recordings, frame-major, and the first frame of each window. Out: the cells of each visible patch,
with mean 0 and variance 1. This is LayerNorm without its weights, which the caller applies, so it needs no gradient.
The kernel reads K * P bytes of a window and nothing of masked patches, which is 10.5 MB per step for 8,192 windows. The
reference is `normalized_cells_plain`, which also runs where a patch does not suit the kernel, such as a vertical patch
of 80 mel bins.

Axes: B window, K visible patch, P patch size, M mel bin.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from model.encoder.kernels.jit import jit, power_of_two, tl, triton, uses_kernels
from model.encoder.patches import dequantize, gather_patches_at

EPSILON = 1e-5
"""Epsilon of `nn.LayerNorm`."""
_PATCHES = 8


@dataclass(frozen=True)
class PatchLayout:
    """The division of windows into patches."""

    patch_shape: tuple[int, int]
    """Mel bins and frames of a patch."""
    columns: int
    """Number of patches of a window along time."""

    @property
    def suits_kernel(self) -> bool:
        """True if the number of cells of a patch is a power of two, which the size of a Triton block must be."""
        mels, frames = self.patch_shape
        return power_of_two(mels * frames) == mels * frames


def normalized_cells(
    codes: UInt8[Tensor, "frames M"],
    starts: Int64[Tensor, " B"],
    visible: Int64[Tensor, "B K"],
    table: Float[Tensor, "codes=256"],
    layout: PatchLayout,
    dtype: torch.dtype,
) -> Float[Tensor, "B K P"]:
    """Return the normalized cells of the visible patches, in (mel, time) order.

    Args:
        codes: frame-major codes of the recordings, one after the other.
        starts: first frame in `codes` of each window.
        visible: number of each visible patch in its window, row-major over the (mel, time) grid.
        table: input of the encoder for each code.
        layout: shape and grid of the patches.
        dtype: type of the result; the arithmetic is float32.
    """
    fused = uses_kernels(codes) and layout.suits_kernel
    function = normalized_cells_fused if fused else normalized_cells_plain
    return function(codes, starts, visible, table, layout, dtype)


def normalized_cells_plain(
    codes: Tensor, starts: Tensor, visible: Tensor, table: Tensor, layout: PatchLayout, dtype: torch.dtype
) -> Tensor:
    """Compute `normalized_cells` in plain PyTorch, with the same shapes."""
    gathered = dequantize(gather_patches_at(codes, starts, visible, layout.columns, layout.patch_shape), table)
    return F.layer_norm(gathered, gathered.shape[-1:], eps=EPSILON).to(dtype)


def normalized_cells_fused(
    codes: Tensor, starts: Tensor, visible: Tensor, table: Tensor, layout: PatchLayout, dtype: torch.dtype
) -> Tensor:
    """Compute `normalized_cells` in one kernel, with the same shapes. The layout must suit the kernel."""
    (windows, n_visible), (mels, frames) = visible.shape, layout.patch_shape
    out = torch.empty((windows, n_visible, mels * frames), dtype=dtype, device=codes.device)
    grid = (triton.cdiv(windows * n_visible, _PATCHES),)
    sizes = (n_visible, layout.columns, codes.shape[1], mels, frames)
    _normalize_cells[grid](codes, starts, visible, table, out, windows * n_visible, *sizes, EPSILON, _PATCHES)
    return out


@jit
def _normalize_cells(
    codes,
    starts,
    visible,
    table,
    out,
    count,
    n_visible: tl.constexpr,
    columns: tl.constexpr,
    n_mels: tl.constexpr,
    mels: tl.constexpr,
    frames: tl.constexpr,
    epsilon: tl.constexpr,
    patches: tl.constexpr,
):
    size: tl.constexpr = mels * frames
    row = tl.program_id(0) * patches + tl.arange(0, patches)
    inside = row < count
    patch = tl.load(visible + row, inside, 0)
    frame = tl.load(starts + row // n_visible, inside, 0) + patch % columns * frames
    corner = frame * n_mels + patch // columns * mels
    cell = tl.arange(0, size)
    offset = cell % frames * n_mels + cell // frames
    code = tl.load(codes + corner[:, None] + offset[None, :], inside[:, None], 0)
    value = tl.load(table + code.to(tl.int32))
    centered = value - (tl.sum(value, axis=1) / size)[:, None]
    variance = tl.sum(centered * centered, axis=1) / size
    normal = centered * (1 / tl.sqrt(variance + epsilon))[:, None]
    tl.store(out + row[:, None] * size + cell[None, :], normal.to(out.dtype.element_ty), inside[:, None])
