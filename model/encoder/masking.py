"""Which patches of a window are seen. In: sizes and a random generator. Out: patch numbers `[B, K]` on the device.

Masks are drawn where they are used, for the whole batch at once: one `rand` and one `topk`, no loop over clips and no
copy from the host. All randomness comes from the generator given, so a step can be repeated.

Axes: B window of the batch, L token (patch of a window), K visible token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Int64
from torch import Tensor

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
        self, batch: int, n_patches: int, n_visible: int, generator: torch.Generator, device: torch.device
    ) -> Int64[Tensor, "B K"]:
        """Numbers in [0, n_patches) of `n_visible` different patches for each of `batch` windows, in no order.

        The generator's state alone decides the result; it must live on `device`.

        Raises:
            InvalidInput: more patches are asked for than there are, or the generator lives on another device.
        """
        ...


@dataclass(frozen=True)
class UniformMasking:
    """Every set of patches is equally likely, independently for each window (Yonay, Hammond, Yang 2025)."""

    def visible_patches(
        self, batch: int, n_patches: int, n_visible: int, generator: torch.Generator, device: torch.device
    ) -> Int64[Tensor, "B K"]:
        """See `MaskingPolicy`. Costs `batch * n_patches` random numbers and one top-k."""
        _require_drawable(n_patches, n_visible, generator, device)
        # the places of the K largest of L independent numbers are a uniform draw without repetition
        ranks = torch.rand(batch, n_patches, generator=generator, device=device)
        return ranks.topk(n_visible, dim=1, sorted=False).indices


POLICIES: dict[str, MaskingPolicy] = {"uniform": UniformMasking()}


def masking_policy(name: str) -> MaskingPolicy:
    """The policy of that name.

    Raises:
        InvalidInput: no policy has this name; the message lists those there are.
    """
    if name not in POLICIES:
        raise InvalidInput(f"masking policy {name!r} is unknown; there are {', '.join(POLICIES)}: choose one of these")
    return POLICIES[name]


def _require_drawable(n_patches: int, n_visible: int, generator: torch.Generator, device: torch.device) -> None:
    if not 1 <= n_visible <= n_patches:
        raise InvalidInput(f"n_visible is {n_visible} of {n_patches} patches; give 1 to {n_patches}")
    if generator.device.type != device.type:
        raise InvalidInput(
            f"the generator lives on {generator.device.type} and masks are drawn on {device.type}: make it with "
            f"torch.Generator(device={device.type!r})"
        )
