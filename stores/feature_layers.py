"""The selection and fusion of layers: features of every block become those of one block or the mean of several.

For a probe that learns a mixture of layers, the features of all blocks are joined side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    embeddings = _of_blocks(features, blocks).mean(axis=1, dtype=np.float64)
    provenance = _provenance(features, layer, representation)
    return replace(features, embeddings=embeddings.astype(np.float32), provenance=provenance)


def join_layers(
    features: FeatureStore, blocks: Sequence[int], layer: int | str, representation: str = ""
) -> FeatureStore:
    """Return the features of several blocks side by side, `[rows, blocks * width]`.

    The arguments and errors are those of `select_layers`. The provenance lists the blocks as `mixed_layers`.
    """
    joined = _of_blocks(features, blocks).reshape(len(features.rows), -1)
    provenance = _provenance(features, layer, representation, {"mixed_layers": list(blocks)})
    return replace(features, embeddings=np.ascontiguousarray(joined), provenance=provenance)


def _of_blocks(features: FeatureStore, blocks: Sequence[int]) -> NDArray[np.float32]:
    layers = list(features.provenance.get("layers", []))
    if features.axis != "layers" or any(block not in layers for block in blocks):
        stored = f"the layers {layers}" if features.axis == "layers" else "no layers"
        raise InvalidInput(f"the features have {stored}, and {list(blocks)} are needed; extract with --layer all")
    chosen: NDArray[np.float32] = features.embeddings[:, [layers.index(block) for block in blocks]]
    return chosen


def _provenance(
    features: FeatureStore, layer: int | str, representation: str, more: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the provenance of an extraction with this layer."""
    provenance = {key: value for key, value in features.provenance.items() if key not in ("layers", "digest")}
    provenance["engine"] = {**_mapping(provenance.get("engine")), "layer": layer}
    if representation:
        provenance["representation"] = representation
    provenance |= more
    provenance["digest"] = digest(provenance)
    return provenance


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}
