"""Which patches of a window are seen. In: a key and the numbers of the windows. Out: patch numbers `[B, K]`.

Masks are drawn where they are used, with no loop over clips and nothing copied from the host. Every patch of every
window gets a number by hashing (key, window, patch); a policy makes a rank of it, and the K highest are seen. So a
mask is a function of (key, window) alone: the same on CPU and GPU, on one rank or many, and in a captured CUDA graph,
whose key is a tensor.

Axes: B window of the batch, L token (patch of a window), K visible token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.encoder.kernels.mask import draws, highest
from stores.errors import InvalidInput


def n_visible(n_patches: int, masking_ratio: float) -> int:
    """Patches that stay visible: `n_patches - int(masking_ratio * n_patches)`, as published; 5 of 48 at 0.9.

    Raises:
        InvalidInput: the ratio is outside [0, 1), or there is no patch.
    """
    if not 0 <= masking_ratio < 1 or n_patches < 1:
        raise InvalidInput(
            f"masking_ratio {masking_ratio} of {n_patches} patches; it must lie in [0, 1) so that a patch stays "
            "visible: 0.9 is the published ratio"
        )
    return n_patches - int(masking_ratio * n_patches)


class MaskingPolicy(Protocol):
    """A rule that chooses the visible patches of each window."""

    def visible_patches(
        self, key: Int64[Tensor, ""], windows: Int64[Tensor, " B"], grid: tuple[int, int], n_visible: int
    ) -> Int64[Tensor, "B K"]:
        """Numbers in [0, rows * columns) of `n_visible` different patches for each of `windows`, in no order.

        Args:
            key: of this draw, on the windows' device.
            windows: number of each window in the whole batch of all ranks.
            grid: rows (mel) and columns (time) of patches in a window.
            n_visible: how many to see.

        Raises:
            InvalidInput: more patches are asked for than there are.
        """
        ...


@dataclass(frozen=True)
class UniformMasking:
    """Every set of patches is equally likely, independently for each window (Yonay, Hammond, Yang 2025)."""

    def visible_patches(
        self, key: Int64[Tensor, ""], windows: Int64[Tensor, " B"], grid: tuple[int, int], n_visible: int
    ) -> Int64[Tensor, "B K"]:
        """See `MaskingPolicy`. The places of the K largest of L independent numbers are a uniform draw."""
        _require_drawable(grid, n_visible)
        return highest(key, windows, grid[0] * grid[1], n_visible)


@dataclass(frozen=True)
class CenteredMasking:
    """Patches near the middle of the window in time are seen more often.

    Sampling without repetition by weights (Gumbel ranks, Vieira 2014), a Gaussian of the distance to the middle.
    """

    spread: float = 0.25
    """Standard deviation of the Gaussian, in windows."""

    def visible_patches(
        self, key: Int64[Tensor, ""], windows: Int64[Tensor, " B"], grid: tuple[int, int], n_visible: int
    ) -> Int64[Tensor, "B K"]:
        """See `MaskingPolicy`."""
        _require_drawable(grid, n_visible)
        numbers = draws(key, windows, grid[0] * grid[1])
        uniform = ((numbers >> 40).double() + 0.5) / 2**23  # of 63 bits the upper 23; never 0 or 1
        ranks = self._log_weights(grid, numbers.device) - (-uniform.log()).log()
        return ranks.topk(n_visible, dim=1).indices

    def _log_weights(self, grid: tuple[int, int], device: torch.device) -> Float[Tensor, " L"]:
        columns = (torch.arange(grid[1], device=device, dtype=torch.float64) + 0.5) / grid[1] - 0.5
        return (-0.5 * (columns / self.spread) ** 2).repeat(grid[0])


POLICIES: dict[str, MaskingPolicy] = {"uniform": UniformMasking(), "centred": CenteredMasking()}


def masking_policy(name: str) -> MaskingPolicy:
    """The policy of that name.

    Raises:
        InvalidInput: no policy has this name; the message lists those there are.
    """
    if name not in POLICIES:
        raise InvalidInput(f"masking policy {name!r} is unknown; there are {', '.join(POLICIES)}: choose one of these")
    return POLICIES[name]


def _require_drawable(grid: tuple[int, int], n_visible: int) -> None:
    if not 1 <= n_visible <= grid[0] * grid[1]:
        raise InvalidInput(f"n_visible is {n_visible} of {grid[0] * grid[1]} patches; give 1 to {grid[0] * grid[1]}")
