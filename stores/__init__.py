"""The formats on disk that the stages exchange: mel stores, shard sets and feature stores, with their manifests.

This package defines these formats, reads them and writes them. Other files are written by the packages that own them:
runs and checkpoints by `model.training`, inference engines by `model.inference`, scores by `model.probes`, and reports
by `model.page`.

`stores.MelStore` and `stores.FeatureStore` are imported when they are first used, so that settings and
`--help` need neither Zarr nor Arrow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stores.features import FeatureStore
    from stores.mel_store import MelStore

__all__ = ["FeatureStore", "MelStore"]
_MODULES = {"FeatureStore": "stores.features", "MelStore": "stores.mel_store"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
