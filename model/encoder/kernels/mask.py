"""Random numbers for patches, and the choice of the K patches of each window with the highest numbers, in one kernel.

The numbers are SplitMix64 (Steele, Lea, Flood 2014) of the counter window * L + patch, started at a random key. All
arithmetic is on integers, so a GPU draws the same numbers as a CPU. The reference is `top_patches_plain`, which makes
ten passes over `[B, L]` and a top-k.

Axes: B window, L patch of a window, K visible patch.
"""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from model.encoder.kernels.jit import jit, power_of_two, tl, triton, uses_kernels

# Constants of SplitMix64 as signed 64-bit integers, which is the type of the tensors. Products wrap around.
_WEYL = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)
_ROWS = 32


def random_numbers(key: Int64[Tensor, ""], windows: Int64[Tensor, " B"], patches: int) -> Int64[Tensor, "B L"]:
    """Return a number in [0, 2**63) for each patch of each window, which is a function of (key, window, patch)."""
    counter = windows[:, None] * patches + torch.arange(patches, device=windows.device)
    mixed = key + (counter + 1) * _WEYL
    mixed = (mixed ^ _shift_right(mixed, 30)) * _FIRST
    mixed = (mixed ^ _shift_right(mixed, 27)) * _SECOND
    return _shift_right(mixed ^ _shift_right(mixed, 31), 1)


def top_patches(
    key: Int64[Tensor, ""], windows: Int64[Tensor, " B"], patches: int, visible: int
) -> Int64[Tensor, "B K"]:
    """Return the `visible` patches of each window that have the highest random numbers, highest first.

    Args:
        key: random key.
        windows: number of each window.
        patches: number L of patches in a window.
        visible: number K of patches to choose.
    """
    if not uses_kernels(windows):
        return top_patches_plain(key, windows, patches, visible)
    return top_patches_fused(key, windows, patches, visible)


def top_patches_plain(
    key: Int64[Tensor, ""], windows: Int64[Tensor, " B"], patches: int, visible: int
) -> Int64[Tensor, "B K"]:
    """Compute `top_patches` in plain PyTorch."""
    return random_numbers(key, windows, patches).topk(visible, dim=1).indices


def top_patches_fused(
    key: Int64[Tensor, ""], windows: Int64[Tensor, " B"], patches: int, visible: int
) -> Int64[Tensor, "B K"]:
    """Compute `top_patches` in one kernel, which reads one number per window and writes K."""
    chosen = torch.empty((len(windows), visible), dtype=torch.int64, device=windows.device)
    grid = (triton.cdiv(len(windows), _ROWS),)
    _top_patches[grid](key, windows, chosen, len(windows), patches, visible, _ROWS, power_of_two(patches))
    return chosen


def _shift_right(number: Tensor, bits: int) -> Tensor:
    """Shift to the right and fill with zeros; `>>` alone would fill with the sign bit."""
    return (number >> bits) & ((1 << (64 - bits)) - 1)


@jit
def _top_patches(
    key, windows, chosen, count, patches: tl.constexpr, visible: tl.constexpr, rows: tl.constexpr, width: tl.constexpr
):
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    column = tl.arange(0, width)
    window = tl.load(windows + row, row < count, 0)
    counter = window[:, None] * patches + column[None, :] + 1
    mixed = (tl.load(key) + counter * -7046029254386353131).to(tl.uint64)
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB
    number = ((mixed ^ (mixed >> 31)) >> 1).to(tl.int64)
    number = tl.where(column[None, :] < patches, number, -1)
    for rank in tl.static_range(visible):
        best = tl.argmax(number, axis=1)
        tl.store(chosen + row * visible + rank, best.to(tl.int64), row < count)
        number = tl.where(column[None, :] == best[:, None], -1, number)
