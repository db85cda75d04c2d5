"""Reading the published checkpoints (`myna-base.pth`, `myna-vertical.pth`, `myna-hybrid.pth`) as encoders.

They are state dicts of the public code, in any file that `model.encoder.published_file` reads. The names of the tensors
are those of `model.encoder.vit`, and the `linear_head` is dropped. The shapes of the tensors give the sizes. Two
settings are not in the file. The first is the input scale, which is `power` unless the caller states another. The
second is the patch kind of a file with only one kind, because square and vertical patches both have 256 cells. The name
of the file or the caller states it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from model.encoder import weight_checks
from model.encoder.config import EncoderConfig, InputScale, PatchKind, PatchMode
from model.encoder.published_file import ANCHOR, read_encoder_tensors
from model.encoder.vit import Encoder
from stores.errors import CorruptArtifact, InvalidInput

FOREIGN = ("linear_head.", "preprocessor.", "pos_embedding")
"""Beginnings of the names of tensors that an encoder of this project does not need."""
VERTICAL_WINDOW_FRAMES = 98
"""Frames of a window of the published vertical model: those of 50,000 samples, which are 96 in patches of 16 frames."""
HEAD_WIDTH = 64
"""Width of an attention head in the public code."""
PATCH_CHOICES = ("auto", *get_args(PatchMode))
_FIRST, _SECOND = "to_patch_embedding.", "to_patch_embedding_b."


@dataclass(frozen=True)
class PublishedDescription:
    """A description of published weights that their file does not contain."""

    name: str
    """Name of the model, such as `myna-vertical`."""
    kinds: tuple[PatchKind, ...] = ()
    """Kinds of patches in the order of the weights, or nothing if no configuration states them."""
    heads: int | None = None
    """Number of attention heads, or None if no configuration states it."""


def read(
    path: Path,
    patches: str = "auto",
    input_scale: str | None = None,
    description: PublishedDescription | None = None,
) -> Encoder:
    """Return the encoder of a published checkpoint, in evaluation mode on the CPU; nothing in the file is executed.

    Args:
        path: the file.
        patches: square, vertical, hybrid, or auto, which takes it from the weights, the description, and the name.
        input_scale: scale of the training data: power, log1p or log; power if None.
        description: what a configuration states (default: the name of the file alone).

    Raises:
        MissingArtifact: there is no file at `path`.
        CorruptArtifact: the file holds no encoder, or tensors are missing, unexpected, of other shapes or not finite.
        InvalidInput: `patches` is unknown, or is auto while the file does not say which kind of patch it has.
    """
    description = description or PublishedDescription(path.stem)
    tensors = read_encoder_tensors(path)
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(FOREIGN)}
    if description.kinds == ("vertical", "square"):
        weights = {_exchange(name): tensor for name, tensor in weights.items()}
    scale: Any = input_scale or "power"
    config = _config(weights, path, _patch_mode(weights, path, patches, description), scale, description)
    return build_encoder(config, weights, path)


def _exchange(name: str) -> str:
    """Return the name with the first and the second patch embedding exchanged. Square comes first in this project."""
    if name.startswith(_FIRST):
        return _SECOND + name.removeprefix(_FIRST)
    return _FIRST + name.removeprefix(_SECOND) if name.startswith(_SECOND) else name


def build_encoder(config: EncoderConfig, weights: Mapping[str, Tensor], source: Path) -> Encoder:
    """Return an encoder with weights of any shape, in evaluation mode. It is built after all names and shapes agree.

    Raises:
        CorruptArtifact: tensors are missing, unexpected, of other shapes, or not finite. The message lists them.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    weight_checks.require_shapes(shapes, weight_checks.encoder_shapes(config), source)
    weight_checks.require_finite(weights, source)
    encoder = Encoder(config)
    encoder.load_state_dict(weights)
    return encoder.eval()


def select_patch_kind(encoder: Encoder, patches: str) -> Encoder:
    """Return a hybrid reduced to one patch kind, with the same trunk, or the encoder itself if it has these patches.

    Raises:
        InvalidInput: `patches` is unknown, or the encoder does not embed such patches.
    """
    own = encoder.config.patches
    _require_known_patches(patches)
    if patches in ("auto", own):
        return encoder
    if own != "hybrid":
        raise InvalidInput(
            f"patches must be auto or {own} for encoder {encoder.config.name!r}, which embeds {own} (got {patches!r})"
        )
    prefix = {"square": "to_patch_embedding.", "vertical": "to_patch_embedding_b."}[patches]
    weights = {
        name.replace(prefix, "to_patch_embedding."): tensor
        for name, tensor in encoder.state_dict().items()
        if name.startswith((prefix, "transformer."))
    }
    kind: Any = patches
    return build_encoder(replace(encoder.config, patches=kind), weights, Path(encoder.config.name))


def _patch_mode(
    weights: Mapping[str, Tensor], path: Path, patches: str, description: PublishedDescription
) -> PatchMode:
    _require_known_patches(patches)
    if any(name.startswith(_SECOND) for name in weights):
        return "hybrid"
    stated = description.kinds[0] if description.kinds else _kind_in_name(description.name)
    mode: Any = patches if patches != "auto" else stated
    if mode is None:
        raise InvalidInput(
            f"{path} has patches of 256 cells, which can be square or vertical, and its name does not say which; "
            "pass patches='square' or patches='vertical'"
        )
    chosen: PatchMode = mode
    return chosen


def _kind_in_name(name: str) -> str | None:
    """Return the patch kind that the name of a model states as a word of its own, in any case, or None."""
    words = {"vertical": "vertical", "base": "square", "square": "square"}
    return next((words[word] for word in re.split(r"[^a-z0-9]+", name.lower()) if word in words), None)


def _require_known_patches(patches: str) -> None:
    if patches not in PATCH_CHOICES:
        raise InvalidInput(f"patches {patches!r} are unknown; use one of {', '.join(PATCH_CHOICES)}")


def _config(
    weights: Mapping[str, Tensor],
    path: Path,
    patches: PatchMode,
    scale: InputScale,
    description: PublishedDescription,
) -> EncoderConfig:
    try:
        width = weights[ANCHOR].shape[0]
        inner = weights["transformer.layers.0.0.to_qkv.weight"].shape[0] // 3
        mlp_width = weights["transformer.layers.0.1.net.1.weight"].shape[0]
    except (KeyError, IndexError) as error:
        raise CorruptArtifact(f"{path} is not a published checkpoint of Myna: it has no {error}") from error
    heads = description.heads if description.heads and inner % description.heads == 0 else max(1, inner // HEAD_WIDTH)
    blocks = {name.split(".")[2] for name in weights if name.startswith("transformer.layers.")}
    try:
        return EncoderConfig(
            name=description.name,
            width=width,
            depth=len(blocks),
            heads=heads,
            head_width=inner // heads if heads == description.heads else min(inner, HEAD_WIDTH),
            mlp_width=mlp_width,
            patches=patches,
            window_frames=VERTICAL_WINDOW_FRAMES if patches == "vertical" else 96,
            input_scale=scale,
        )
    except InvalidInput as error:
        raise CorruptArtifact(f"{path} has the sizes of no encoder: {error}") from error
