"""Key heads that others have published: the state dict of an `nn.Sequential` of linear layers, ReLU and dropout.

KeyMyna's heads have the layers 384-2048-24 and 384-4096-4096-24. Their 24 outputs are C major, C minor, Db major,
Db minor and so on to B minor, and the outputs for the windows of a recording are averaged before the softmax. The
numbers in the names of the tensors count all modules, so they say nothing about dropout, which predictions do not use.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from model.encoder import published_file
from model.probes.probe import Probe
from model.probes.training.batched_mlp import MlpWeights
from stores import key_names
from stores.errors import CorruptArtifact
from stores.feature_array import MAX_WIDTH

SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")
"""Suffixes of such files."""
KEYS = tuple(f"{tonic} {mode}" for tonic in key_names.FLATS for mode in ("major", "minor"))
"""The outputs in order."""
MAX_LAYERS = 9
_NAME = re.compile(r"(?:.*\.)?(\d{1,4})\.(weight|bias)")


def read(path: Path) -> Probe:
    """Return the head as a probe of the task `key`, which averages the outputs of the windows of a recording.

    The file does not say which embeddings the head was trained on, so only their width is checked.

    Raises:
        MissingArtifact: there is no such file.
        CorruptArtifact: the file is not the state dict of linear layers that follow one another and end in 24 outputs.
    """
    layers = _layers(published_file.read_state_dict(path), path)
    width = layers[0][0].shape[-1]
    for weight, bias in layers:
        if weight.ndim != 2 or bias.shape != weight.shape[:1] or weight.shape[1] != width:
            raise CorruptArtifact(
                f"{path}: a layer of shape {tuple(weight.shape)} does not follow one of width {width}"
            )
        width = weight.shape[0]
    if width != len(KEYS) or layers[0][0].shape[1] > MAX_WIDTH:
        raise CorruptArtifact(
            f"{path} has {width} outputs; a key head has {len(KEYS)}, which are {', '.join(KEYS[:4])} and so on"
        )
    inputs = layers[0][0].shape[1]
    tensors = tuple(tensor[None].float() for layer in layers for tensor in layer)
    if not all(tensor.isfinite().all() for tensor in tensors):
        raise CorruptArtifact(f"{path} has values that are not finite")
    metadata = {
        "task": "key",
        "kind": "key",
        "classes": list(KEYS),
        "vote": "gmean",
        "part": "",
        "columns": [0, inputs],
        "features": {},
    }
    return Probe(torch.zeros(inputs), torch.ones(inputs), MlpWeights(tensors), metadata)


def _layers(state: dict[str, Tensor], path: Path) -> list[tuple[Tensor, Tensor]]:
    """Return weight and bias of each linear layer in order."""
    tensors: dict[tuple[int, str], Tensor] = {}
    for name, tensor in state.items():
        match = _NAME.fullmatch(name)
        if match is None or not tensor.is_floating_point():
            raise CorruptArtifact(
                f"{path} holds {name[:60]!r}, and a head has only tensors such as 0.weight and 0.bias"
            )
        tensors[int(match[1]), match[2]] = tensor
    numbers = sorted({number for number, _ in tensors})
    if not 1 <= len(numbers) <= MAX_LAYERS or len(tensors) != 2 * len(numbers) or len(tensors) != len(state):
        raise CorruptArtifact(f"{path} does not have a weight and a bias for each of 1 to {MAX_LAYERS} layers")
    return [(tensors[number, "weight"], tensors[number, "bias"]) for number in numbers]
