"""The published checkpoints (`myna-base.pth`, `myna-vertical.pth`, `myna-hybrid.pth`) -> an encoder.

They are plain state dicts of the public code: the names are ours, with a `linear_head` that is dropped. The sizes stand
in the shapes. Two facts do not: what was done to the input, which is `power` unless told, and whether one kind of patch
is square or vertical, since both have 256 cells; a file's name says that, or the caller.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from model.encoder.config import EncoderConfig, PatchMode
from model.encoder.input_scale import InputScale
from model.encoder.vit import Encoder
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

HEAD = "linear_head."
HEAD_WIDTH = 64
"""Of the public code's attention heads."""
PATCHES = ("auto", *get_args(PatchMode))


def read(path: Path, patches: str = "auto", input_scale: str | None = None) -> Encoder:
    """The encoder of a published checkpoint, in evaluation mode on the CPU; nothing in the file is executed.

    Args:
        path: the file.
        patches: square, vertical or hybrid; auto reads it off the weights and the file's name.
        input_scale: what it was trained on: power, log1p or log; power if None.

    Raises:
        MissingArtifact: no file there.
        CorruptArtifact: not a state dict of tensors; or tensors are missing, left over or of other shapes.
        InvalidInput: the weights do not say what patches they are for, or not those asked for.
    """
    if not path.is_file():
        raise MissingArtifact(f"no checkpoint at {path}; give the path of a published .pth file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise CorruptArtifact(f"{path} is not a state dict of tensors: {error}") from error
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CorruptArtifact(f"{path} is not a plain state dict: its values must all be tensors")
    weights = {str(name): tensor.float() for name, tensor in state.items() if not str(name).startswith(HEAD)}
    scale: Any = input_scale or "power"
    config = _config(weights, path, _mode(weights, path, patches), scale)
    return fill(Encoder(config), weights, path)


def fill(encoder: Encoder, weights: Mapping[str, Tensor], source: Path) -> Encoder:
    """Put weights into an encoder, all of them, each of the same shape, and no others; in evaluation mode.

    Raises:
        CorruptArtifact: naming what is missing, left over, or of another shape.
    """
    wanted = encoder.state_dict()
    missing, unexpected = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    if missing or unexpected:
        raise CorruptArtifact(
            f"{source} does not fit an encoder of {encoder.config.patches} patches; missing keys: "
            f"{', '.join(missing) or 'none'}; unexpected keys: {', '.join(unexpected) or 'none'}"
        )
    if wrong := [name for name in wanted if wanted[name].shape != weights[name].shape]:
        shapes = ", ".join(f"{name} {list(weights[name].shape)}, needed {list(wanted[name].shape)}" for name in wrong)
        raise CorruptArtifact(f"{source} has tensors of other shapes: {shapes}")
    encoder.load_state_dict(weights)
    return encoder.eval()


def narrowed(encoder: Encoder, patches: str) -> Encoder:
    """A hybrid as an encoder of one of its kinds of patch, with the same trunk; any encoder as what it is.

    Raises:
        InvalidInput: it does not embed such patches.
    """
    own = encoder.config.patches
    if patches not in PATCHES:
        raise InvalidInput(f"patches {patches!r} are unknown; use one of {', '.join(PATCHES)}")
    if patches in ("auto", own):
        return encoder
    if own != "hybrid":
        raise InvalidInput(f"patches are {patches!r}, but encoder {encoder.config.name!r} embeds {own}; leave it auto")
    kept = {"square": "to_patch_embedding.", "vertical": "to_patch_embedding_b."}[patches]
    weights = {
        name.replace(kept, "to_patch_embedding."): tensor
        for name, tensor in encoder.state_dict().items()
        if name.startswith((kept, "transformer."))
    }
    single: Any = patches
    return fill(Encoder(replace(encoder.config, patches=single)), weights, Path(encoder.config.name))


def _mode(weights: Mapping[str, Tensor], path: Path, patches: str) -> PatchMode:
    if patches not in PATCHES:
        raise InvalidInput(f"patches {patches!r} are unknown; use one of {', '.join(PATCHES)}")
    hybrid = any(name.startswith("to_patch_embedding_b.") for name in weights)
    said = [
        mode for mode, word in (("vertical", "vertical"), ("square", "base"), ("square", "square")) if word in path.stem
    ]
    found: Any = "hybrid" if hybrid else patches if patches != "auto" else said[0] if said else None
    if found is None:
        raise InvalidInput(
            f"{path} has patches of 256 cells, which are square or vertical alike, and its name does not say which: "
            "give patches='square' or patches='vertical'"
        )
    if patches not in ("auto", found) and not hybrid:
        raise InvalidInput(f"{path} embeds {found} patches, not {patches}")
    mode: PatchMode = found
    return mode


def _config(weights: Mapping[str, Tensor], path: Path, patches: PatchMode, scale: InputScale) -> EncoderConfig:
    try:
        width = weights["to_patch_embedding.2.weight"].shape[0]
        inner = weights["transformer.layers.0.0.to_qkv.weight"].shape[0] // 3
        mlp_width = weights["transformer.layers.0.1.net.1.weight"].shape[0]
    except (KeyError, IndexError) as error:
        raise CorruptArtifact(f"{path} is not a published checkpoint of Myna: it has no {error}") from error
    blocks = {name.split(".")[2] for name in weights if name.startswith("transformer.layers.")}
    return EncoderConfig(
        name=path.stem,
        width=width,
        depth=len(blocks),
        heads=max(1, inner // HEAD_WIDTH),
        head_width=min(inner, HEAD_WIDTH),
        mlp_width=mlp_width,
        patches=patches,
        input_scale=scale,
    )
