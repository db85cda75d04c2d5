"""The model of the public code: SimpleViT of vit-pytorch with two patch embeddings and a head, without fused kernels.

All patches are embedded and get their positions before the visible tokens are gathered. With `gather_first`, the
visible patches are gathered before they are embedded, which gives the same result. The weights have the names of our
encoder, so both models can load the same weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.encoder.config import EncoderConfig, PatchKind
from model.encoder.patches import patch_grid, patchify, positions_2d

NAMES = ("to_patch_embedding", "to_patch_embedding_b")


class PlainAttention(nn.Module):
    """Attention with a LayerNorm, written out as in SimpleViT or, with `sdpa`, by PyTorch's function."""

    def __init__(self, config: EncoderConfig, sdpa: bool) -> None:
        super().__init__()
        inner = config.heads * config.head_width
        self.heads, self.sdpa = config.heads, sdpa
        self.norm = nn.LayerNorm(config.width)
        self.to_qkv = nn.Linear(config.width, 3 * inner, bias=False)
        self.to_out = nn.Linear(inner, config.width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the attention's addition to the tokens `[B, L, D]`."""
        projections = self.to_qkv(self.norm(tokens)).chunk(3, dim=-1)
        query, key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in projections)
        if self.sdpa:
            attended = F.scaled_dot_product_attention(query, key, value)
        else:
            attended = (query @ key.mT * query.shape[-1] ** -0.5).softmax(dim=-1) @ value
        return self.to_out(attended.transpose(1, 2).flatten(2))


class PlainTrunk(nn.Module):
    """Pre-norm transformer blocks and a last LayerNorm."""

    def __init__(self, config: EncoderConfig, sdpa: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.layers = nn.ModuleList(
            nn.ModuleList([PlainAttention(config, sdpa), PlainFeedForward(config)]) for _ in range(config.depth)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens `[B, L, D]` after all blocks."""
        for attention, feed_forward in self.layers:
            tokens = tokens + attention(tokens)
            tokens = tokens + feed_forward(tokens)
        return self.norm(tokens)


class PlainFeedForward(nn.Module):
    """LayerNorm, Linear, GELU, Linear."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        mlp_width, width = config.mlp_width, config.width
        self.net = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, mlp_width), nn.GELU(), nn.Linear(mlp_width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the feed-forward network's addition to the tokens `[B, L, D]`."""
        return self.net(tokens)


class PlainEncoder(nn.Module):
    """Patch embeddings and trunk."""

    def __init__(self, config: EncoderConfig, sdpa: bool) -> None:
        super().__init__()
        self.config = config
        for kind, name in zip(config.patch_kinds, NAMES, strict=False):
            mels, frames = config.patch_shapes[kind]
            layers = (nn.LayerNorm(mels * frames), nn.Linear(mels * frames, config.width), nn.LayerNorm(config.width))
            self.add_module(name, nn.Sequential(nn.Identity(), *layers))
            grid = patch_grid(config.n_mels, config.window_frames, (mels, frames))
            self.register_buffer(f"positions_{kind}", positions_2d(*grid, config.width), persistent=False)
        self.transformer = PlainTrunk(config, sdpa)

    def forward(self, mel: Tensor, visible: Tensor, kind: PatchKind, gather_first: bool) -> Tensor:
        """Return the mean over the visible tokens, `[B, D]`, of mel-first windows `[B, M, N]`."""
        patches, positions = patchify(mel, self.config.patch_shapes[kind]), getattr(self, f"positions_{kind}")
        embed = getattr(self, NAMES[self.config.patch_kinds.index(kind)])
        if gather_first:
            tokens = embed(_gather(patches, visible)) + positions[visible]
        else:
            tokens = _gather(embed(patches) + positions, visible)
        return self.transformer(tokens).mean(dim=1)


class PlainModelWithHead(nn.Module):
    """Encoder and projection head."""

    def __init__(self, config: EncoderConfig, projection_width: int, sdpa: bool, gather_first: bool = False) -> None:
        super().__init__()
        self.encoder = PlainEncoder(config, sdpa)
        self.linear_head = nn.Linear(config.width, projection_width)
        self._gather_first = gather_first

    def forward(self, mel: Tensor, visible: Tensor, kind: PatchKind) -> Tensor:
        """Return the projections `[B, projection_width]`."""
        return self.linear_head(self.encoder(mel, visible, kind, self._gather_first))


def _gather(rows: Tensor, indices: Tensor) -> Tensor:
    return torch.gather(rows, 1, indices[..., None].expand(-1, -1, rows.shape[-1]))
