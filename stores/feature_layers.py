"""The selection and fusion of layers: features of every block become those of one block or the mean of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stores.digest import digest
from stores.errors import InvalidInput
from stores.features import FeatureStore


def select_layers(
    features: FeatureStore, blocks: Sequence[int], layer: int | str, representation: str = ""
) -> FeatureStore:
    """Return the features of one block, or the mean over several, with the provenance of an extraction of them.

    Args:
        features: features with layers, `[rows, layers, width]`.
        blocks: numbers of the blocks, from 1.
        layer: the option `--layer` that an extraction of them has, which becomes part of the provenance.
        representation: name of the representation with these layers (default: that of `features`).

    Raises:
        InvalidInput: the features have no layers, or not these.
    """
    layers = list(features.provenance.get("layers", []))
    if features.axis != "layers" or any(block not in layers for block in blocks):
        stored = f"the layers {layers}" if features.axis == "layers" else "no layers"
        raise InvalidInput(f"the features have {stored}, and {list(blocks)} are needed; extract with --layer all")
    embeddings = features.embeddings[:, [layers.index(block) for block in blocks]].mean(axis=1, dtype=np.float64)
    provenance = {key: value for key, value in features.provenance.items() if key not in ("layers", "digest")}
    provenance["engine"] = {**_mapping(provenance.get("engine")), "layer": layer}
    if representation:
        provenance["representation"] = representation
    provenance["digest"] = digest(provenance)
    return replace(features, embeddings=embeddings.astype(np.float32), provenance=provenance)


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}
