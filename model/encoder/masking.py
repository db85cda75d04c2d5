"""Masking policies, which choose the visible patches of each window.

In: a random key and the numbers of the windows. Out: the numbers of the visible patches, `[B, K]`.

Masks are drawn on the device that uses them, without a loop over clips and without a copy from the host. Every patch of
every window gets a random number, which is a hash of (key, window, patch). A policy turns the numbers into ranks, and
the K patches with the highest ranks are visible. A mask is therefore a function of (key, window) alone. It is the same
on CPU and GPU, on one rank or many, and in a captured CUDA graph, where the key is a tensor.

Axes: B window of the batch, L token (patch of a window), K visible token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.encoder.kernels.mask import random_numbers, top_patches
from model.encoder.masking_config import normalize_masking_name, unknown_masking_name
from stores.errors import InvalidInput


class MaskingPolicy(Protocol):
    """A rule that chooses the visible patches of each window."""

    def visible_patches(
        self, key: Int64[Tensor, ""], windows: Int64[Tensor, " B"], grid: tuple[int, int], n_visible: int
    ) -> Int64[Tensor, "B K"]:
        """Return `n_visible` different patch numbers in [0, rows * columns) for each of `windows`, in no order.

        Args:
            key: random key of this draw, on the device of `windows`.
            windows: number of each window in the whole batch of all ranks.
            grid: rows (mel) and columns (time) of patches in a window.
            n_visible: number K of visible patches in a window.

        Raises:
            InvalidInput: `n_visible` is less than 1 or greater than the number of patches.
        """
        ...


@dataclass(frozen=True)
class UniformMasking:
    """Masking in which every set of patches is equally likely, independently for each window (Yonay et al. 2025)."""

    def visible_patches(
        self, key: Int64[Tensor, ""], windows: Int64[Tensor, " B"], grid: tuple[int, int], n_visible: int
    ) -> Int64[Tensor, "B K"]:
        """Return the visible patches, as `MaskingPolicy` describes.

        The positions of the K largest of L independent random numbers are a uniform sample.
        """
        _require_drawable(grid, n_visible)
        return top_patches(key, windows, grid[0] * grid[1], n_visible)


@dataclass(frozen=True)
class CenteredMasking:
    """Masking that leaves patches near the middle of the window in time visible more often.

    Patches are sampled without replacement (Gumbel ranks, Vieira 2014). Their weights are a Gaussian of the distance to
    the middle of the window.
    """

    spread: float = 0.25
    """Standard deviation of the Gaussian, as a fraction of the window."""

    def visible_patches(
        self, key: Int64[Tensor, ""], windows: Int64[Tensor, " B"], grid: tuple[int, int], n_visible: int
    ) -> Int64[Tensor, "B K"]:
        """Return the visible patches, as `MaskingPolicy` describes."""
        _require_drawable(grid, n_visible)
        numbers = random_numbers(key, windows, grid[0] * grid[1])
        uniform = ((numbers >> 40).double() + 0.5) / 2**23  # the upper 23 of 63 bits; never exactly 0 or 1
        ranks = self._log_weights(grid, numbers.device) - (-uniform.log()).log()
        return ranks.topk(n_visible, dim=1).indices

    def _log_weights(self, grid: tuple[int, int], device: torch.device) -> Float[Tensor, " L"]:
        columns = (torch.arange(grid[1], device=device, dtype=torch.float64) + 0.5) / grid[1] - 0.5
        return (-0.5 * (columns / self.spread) ** 2).repeat(grid[0])


POLICIES: dict[str, MaskingPolicy] = {"uniform": UniformMasking(), "centered": CenteredMasking()}


def masking_policy(name: str) -> MaskingPolicy:
    """Return the masking policy with this name; `centred`, the stored spelling of `centered`, is accepted too.

    Raises:
        InvalidInput: no policy has this name; the message lists the names.
    """
    name = normalize_masking_name(name)
    if name not in POLICIES:
        raise unknown_masking_name(name, tuple(POLICIES))
    return POLICIES[name]


def _require_drawable(grid: tuple[int, int], n_visible: int) -> None:
    n_patches = grid[0] * grid[1]
    if not 1 <= n_visible <= n_patches:
        raise InvalidInput(f"n_visible must be from 1 to the number of patches, {n_patches} (got {n_visible})")
