"""The names of the masking policies and the number of visible patches, without torch.

Settings and command lines need both, and they must be importable without torch.
"""

from __future__ import annotations

from typing import Literal, get_args

from stores.errors import InvalidInput

MaskingName = Literal["uniform", "centered"]

# Checkpoints and digests contain this spelling, so it cannot change.
_STORED_NAMES = {"centered": "centred"}


def normalize_masking_name(name: str) -> str:
    """Return `name` as `MaskingName` spells it: `centred` becomes `centered`, and other names stay as they are."""
    return {stored: current for current, stored in _STORED_NAMES.items()}.get(name, name)


def stored_masking_name(name: str) -> str:
    """Return the spelling of a masking policy's name in files and digests: `centred` for `centered` and `centred`.

    Raises:
        InvalidInput: `name` is not the name of a policy; the message lists the names.
    """
    current = normalize_masking_name(name)
    if current not in get_args(MaskingName):
        raise unknown_masking_name(name, get_args(MaskingName))
    return _STORED_NAMES.get(current, current)


def unknown_masking_name(name: str, accepted: tuple[str, ...]) -> InvalidInput:
    """Return the error for a masking policy that does not exist."""
    return InvalidInput(f"masking policy {name!r} is unknown; use one of {', '.join(accepted)}")


def n_visible(n_patches: int, masking_ratio: float) -> int:
    """Return how many of `n_patches` patches stay visible, as in the public code: 5 of 48 at a ratio of 0.9.

    The number is `n_patches - int(masking_ratio * n_patches)`.

    Raises:
        InvalidInput: the ratio is outside [0, 1), or `n_patches` is less than 1.
    """
    if not 0 <= masking_ratio < 1 or n_patches < 1:
        raise InvalidInput(
            f"masking_ratio must lie in [0, 1), so that at least one of {n_patches} patches stays visible "
            f"(got {masking_ratio}); the paper uses 0.9"
        )
    return n_patches - int(masking_ratio * n_patches)
