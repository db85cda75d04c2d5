"""Slices of a hybrid encoder's embedding, which is [square | vertical]. Each half alone may be the better input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONCATENATED, SQUARE, VERTICAL = "concatenated", "square", "vertical"
SLICES = (CONCATENATED, SQUARE, VERTICAL)
"""Names of the slices of a hybrid's embedding."""


def slices_of(provenance: Mapping[str, Any], width: int) -> dict[str, slice]:
    """Return the columns of each slice of an embedding, by the name of the slice.

    A hybrid encoder has the slices `concatenated`, `square` and `vertical`. If several are equally good on validation,
    the first one is used. Other encoders have one slice, whose name is empty,
    and so do layers side by side.

    Args:
        provenance: provenance of the features.
        width: columns of the embedding.
    """
    if width % 2 or "mixed_layers" in provenance or not _is_hybrid(provenance.get("encoder")):
        return {"": slice(0, width)}
    return {CONCATENATED: slice(0, width), SQUARE: slice(0, width // 2), VERTICAL: slice(width // 2, width)}


def _is_hybrid(settings: object) -> bool:
    """Return whether settings of a hybrid encoder are among `settings`, at any depth."""
    if not isinstance(settings, Mapping):
        return False
    return settings.get("patches") == "hybrid" or any(_is_hybrid(inner) for inner in settings.values())
