"""Reference implementations for visible patches: gathering by indexing, and embedding by the unfused trunk."""

from __future__ import annotations

import torch

from model.encoder.patches import patchify


def gather_patches(mel, visible, shape):
    """Return the visible patches `[B, K, P]` of mel-first windows."""
    return patchify(mel, shape)[torch.arange(len(mel))[:, None], visible]


def embed_patches(embedding, patches, visible):
    """Return tokens with positions, `[B, K, D]`, for visible patches whose cells are not normalized."""
    return embedding(patches) + embedding.positions[visible]


def embed_visible(encoder, patches, visible, kind):
    """Return the mean over the tokens of the visible patches of one kind, `[B, D]`."""
    return encoder.transformer(embed_patches(encoder.embedding(kind), patches, visible)).mean(dim=1)
