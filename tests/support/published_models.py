"""Folders like those of the published models on the hub, small and with random weights."""

from __future__ import annotations

import json

import torch
from safetensors.torch import save_file

from model.encoder.config import EncoderConfig
from model.encoder.vit import Encoder

KINDS = {"myna-base": "square", "myna-vertical": "vertical", "myna-hybrid": "hybrid", "myna-85m": "hybrid"}
PATCHES = {
    "square": {"patch_size": [16, 16]},
    "vertical": {"patch_size": [128, 2]},
    "hybrid": {"patch_size": [16, 16], "additional_patch_size": [128, 2]},
}


def encoder(name, seed=0):
    """Return a small encoder with the patches of a published model and random weights."""
    torch.manual_seed(seed)
    config = EncoderConfig(
        name=name, width=64, depth=2, heads=3 if name == "myna-85m" else 2, mlp_width=96, patches=KINDS[name]
    )
    built = Encoder(config)
    for parameter in built.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return built.eval()


def config(name, **changes):
    """Return a configuration with the keys of the public code. A change to None removes a key."""
    values = {
        "arch": "simple-vit",
        "architectures": ["MynaModel"],
        "auto_map": {"AutoModel": "myna.MynaModel"},
        "spec_size": [128, 96],
        **PATCHES[KINDS[name]],
        "dim": 64,
        "depth": 2,
        "heads": 3 if name == "myna-85m" else 2,
        "mlp_dim": 96,
        "n_samples": 50_000,
        "n_frames": 98 if KINDS[name] == "vertical" else 96,
    }
    return {key: value for key, value in {**values, **changes}.items() if value is not None}


def write(folder, name, weights="model.safetensors", prefix="", config_changes=None, extra=True, seed=0):
    """Write the folder of a published model, and return its encoder.

    Args:
        folder: the folder.
        name: name of a published model.
        weights: name of the file of weights.
        prefix: prefix of all names of weights.
        config_changes: changes of the configuration, or False for no configuration.
        extra: add tensors that the encoder does not need.
        seed: seed of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    built = encoder(name, seed)
    tensors = {f"{prefix}{key}": tensor.clone() for key, tensor in built.state_dict().items()}
    if extra:
        names = ("linear_head.weight", "linear_head.bias", "preprocessor.mel.mel_basis", "pos_embedding")
        tensors |= {f"{prefix}{key}": torch.randn(3, 4) for key in names}
    if weights.endswith(".safetensors"):
        save_file(tensors, folder / weights)
    else:
        torch.save(tensors, folder / weights)
    if config_changes is not False:
        (folder / "config.json").write_text(json.dumps(config(name, **(config_changes or {}))))
    (folder / "myna.py").write_text("raise SystemExit('this code must never run')\n")
    return built
