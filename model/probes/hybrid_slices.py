"""Parts of an embedding: a hybrid encoder's is [square | vertical], and each half may be the better one to probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONCATENATED = "concatenated"


def parts_of(provenance: Mapping[str, Any], width: int) -> dict[str, slice]:
    """Columns of each part of an embedding of `width` numbers that has this provenance.

    `concatenated`, `square` and `vertical` for a hybrid encoder, in the order in which the first of several that are
    best on validation is taken; for others one part without a name.
    """
    if width % 2 or not _is_hybrid(provenance.get("encoder")):
        return {"": slice(0, width)}
    return {CONCATENATED: slice(0, width), "square": slice(0, width // 2), "vertical": slice(width // 2, width)}


def _is_hybrid(settings: object) -> bool:
    """Whether some encoder's settings are in there; those of a run hold them one level deeper."""
    if not isinstance(settings, Mapping):
        return False
    return settings.get("patches") == "hybrid" or any(_is_hybrid(inner) for inner in settings.values())
