"""Stages two and three: shards become a trained encoder, an encoder embeds collections, probes score embeddings.

`model.Myna` and `model.load_encoder` are found when they are asked for: whoever trains needs no audio decoder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.inference.checkpoints import load_encoder
    from model.inference.myna import Myna

__all__ = ["Myna", "load_encoder"]
_PLACES = {"Myna": ("model.inference.pretrained", "Pretrained"), "load_encoder": ("model.inference.checkpoints",)}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = (*_PLACES[name], name)[:2]
    return getattr(import_module(module), attribute)
