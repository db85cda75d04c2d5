"""Checks of weights from outside before a model is built for them: names, shapes, types and finite values.

A model is as large as its configuration says, so a configuration is compared with the shapes in the header of its file
first. The shapes are computed here without building a module.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from model.encoder.config import EncoderConfig
from stores.errors import CorruptArtifact
from stores.safetensors_header import FLOAT_TYPES, TensorEntry

MAX_LISTED = 6
"""Number of names that an error lists."""
Shapes = Mapping[str, tuple[int, ...]]


def encoder_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of an encoder by its name in the state dict."""
    shapes = dict[str, tuple[int, ...]]()
    for kind, name in zip(config.patch_kinds, ("to_patch_embedding", "to_patch_embedding_b"), strict=False):
        mels, frames = config.patch_shapes[kind]
        shapes |= {**_norm(f"{name}.1", mels * frames), **_linear(f"{name}.2", mels * frames, config.width)}
        shapes |= _norm(f"{name}.3", config.width)
    return shapes | trunk_shapes(config, config.depth)


def trunk_shapes(config: EncoderConfig, depth: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a trunk with `depth` blocks and the other sizes of `config`."""
    blocks = {f"transformer.layers.{block}.{name}": shape for block in range(depth) for name, shape in _block(config)}
    return {**_norm("transformer.norm", config.width), **blocks}


def require_entries(entries: Mapping[str, TensorEntry], expected: Shapes, source: Path) -> None:
    """Check the header of a file: it has exactly the expected weights, in their shapes, as real numbers.

    Raises:
        CorruptArtifact: weights are missing, unexpected, or of another shape or type. The message lists some of them.
    """
    require_shapes({name: entry.shape for name, entry in entries.items()}, expected, source)
    if others := [f"{name} is {entry.type}" for name, entry in entries.items() if entry.type not in FLOAT_TYPES]:
        raise CorruptArtifact(f"{source} has weights that are not real numbers: {_listed(others)}")


def require_shapes(actual: Shapes, expected: Shapes, source: Path) -> None:
    """Check that weights have exactly the expected names and shapes.

    Raises:
        CorruptArtifact: weights are missing, unexpected or of another shape. The message lists some of them.
    """
    missing, unexpected = sorted(expected.keys() - actual.keys()), sorted(actual.keys() - expected.keys())
    if missing or unexpected:
        raise CorruptArtifact(
            f"{source} does not fit its encoder; missing tensors: {_listed(missing) or 'none'}; unexpected tensors: "
            f"{_listed(unexpected) or 'none'}"
        )
    differing = [name for name in expected if tuple(actual[name]) != expected[name]]
    if differing:
        shapes = [f"{name} {list(actual[name])}, expected {list(expected[name])}" for name in differing]
        raise CorruptArtifact(f"{source} has tensors of other shapes: {_listed(shapes)}")


def require_finite(weights: Mapping[str, Tensor], source: Path) -> None:
    """Check that all weights, of any shape, are finite real numbers.

    Raises:
        CorruptArtifact: a weight is an integer, a complex number, NaN or infinite.
    """
    for name, tensor in weights.items():
        if not tensor.is_floating_point():
            raise CorruptArtifact(f"{source} has weights that are not real numbers: {name} is {tensor.dtype}")
        # the sum is finite only if all values are, and costs less than a look at each
        if not math.isfinite(float(tensor.sum())) and not bool(torch.isfinite(tensor).all()):
            raise CorruptArtifact(f"{source} has weights that are NaN or infinite: {name}; it cannot be used")


def _block(config: EncoderConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, inner, hidden = config.width, config.heads * config.head_width, config.mlp_width
    yield from _norm("0.norm", width).items()
    yield from (("0.to_qkv.weight", (3 * inner, width)), ("0.to_out.weight", (width, inner)))
    yield from _norm("1.net.0", width).items()
    yield from {**_linear("1.net.1", width, hidden), **_linear("1.net.3", hidden, width)}.items()


def _norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _linear(name: str, size_in: int, size_out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size_out, size_in), f"{name}.bias": (size_out,)}


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - MAX_LISTED} more" if len(items) > MAX_LISTED else ""
    return ", ".join(items[:MAX_LISTED]) + more
