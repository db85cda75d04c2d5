"""The network of the encoder: a plain vision transformer over mel patches (SimpleViT, Beyer, Zhai, Kolesnikov 2022).

In: mel power `[B, M, N]` for embeddings, or the cells of visible patches `[B, K, P]` in training. Out: an embedding for
each window, which is the mean over its tokens. The cost depends on the number of tokens in the trunk: 5 visible tokens
in training, 48 tokens in inference.

The names in the state dict are those of the public checkpoints of ghost-signal/myna, without their `linear_head`. There
are two named patch embeddings, and no state is swapped, so the module can be compiled, exported and captured.

Axes: B window of the batch, M mel bin, N frame, L token, K visible token, P patch size, D width, H head.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float, Int64
from torch import Tensor, nn

from model.encoder.config import EncoderConfig, PatchKind
from model.encoder.input_scale import scale_input
from model.encoder.patches import patch_grid, patchify, positions_2d
from stores.errors import InvalidInput


class Encoder(nn.Module):
    """The encoder, which turns windows of mel into embeddings.

    Weights have PyTorch's default initialization, as in SimpleViT, so set the random seed before building it. A hybrid
    uses one trunk for both patch kinds, and each kind has its own patch embedding.
    """

    to_patch_embedding: PatchEmbedding
    to_patch_embedding_b: PatchEmbedding

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self._embedding_names = dict(zip(config.patch_kinds, _EMBEDDING_NAMES, strict=False))
        for kind, name in self._embedding_names.items():
            self.add_module(name, PatchEmbedding(config, kind))
        self.transformer = Transformer(config)

    def forward(self, mel: Float[Tensor, "B M N"]) -> Float[Tensor, "B D"]:
        """Embed whole windows, without a mask.

        Args:
            mel: mel power, float32, mel-first, `config.n_mels` by any number of frames that divides into whole patches
                (`config.window_frames` is the usual one). The input scale is applied inside.

        Returns:
            Embeddings of size `config.embedding_width`; for a hybrid, the embedding of the square patches and then that
            of the vertical patches.

        Raises:
            InvalidInput: the window has another number of mel bins, or does not divide into patches.
        """
        _require_window(mel, self.config)
        scaled = scale_input(mel, self.config.input_scale)
        shapes, frames = self.config.patch_shapes, mel.shape[2]
        tokens = [self.embedding(kind).embed(patchify(scaled, shape), frames) for kind, shape in shapes.items()]
        return torch.cat(self._pool(tokens), dim=-1)

    def embedding(self, kind: PatchKind) -> PatchEmbedding:
        """Return the patch embedding of a patch kind.

        Raises:
            InvalidInput: the encoder does not embed this kind; the message lists the kinds that it embeds.
        """
        if kind not in self._embedding_names:
            raise InvalidInput(
                f"encoder {self.config.name!r} embeds {', '.join(self._embedding_names)} patches, not {kind!r}; use a "
                "kind of config.patch_kinds"
            )
        embedding: PatchEmbedding = getattr(self, self._embedding_names[kind])
        return embedding

    def _pool(self, tokens: list[Tensor]) -> list[Tensor]:
        """Return the mean over the tokens of each patch kind, after one pass of all kinds through the trunk."""
        # shape[0] instead of len(), which would fix the batch size when the encoder is exported
        sizes = [group.shape[0] for group in tokens]
        pooled: Tensor = self.transformer(torch.cat(tokens)).mean(dim=1)
        return list(torch.split(pooled, sizes))


# Names of the first and the second patch embedding in the public checkpoints
_EMBEDDING_NAMES = ("to_patch_embedding", "to_patch_embedding_b")


class PatchEmbedding(nn.Sequential):
    """LayerNorm, Linear and LayerNorm, which turn the cells of a patch into a token, and the position vectors."""

    positions: Tensor

    def __init__(self, config: EncoderConfig, kind: PatchKind) -> None:
        mels, frames = config.patch_shapes[kind]
        cells, width = mels * frames, config.width
        # layer 0 of the public checkpoints cuts the patches and has no weights; here patches arrive cut
        super().__init__(nn.Identity(), nn.LayerNorm(cells), nn.Linear(cells, width), nn.LayerNorm(width))
        self._patch_shape, self._window = (mels, frames), (config.n_mels, config.window_frames)
        # a constant: it moves with the module, but checkpoints do not contain it
        self.register_buffer("positions", self._positions(config.window_frames, width), persistent=False)

    @property
    def parts(self) -> tuple[nn.LayerNorm, nn.Linear, nn.LayerNorm]:
        """Norm of the cells, linear layer, and norm of the tokens."""
        return cast(nn.LayerNorm, self[1]), cast(nn.Linear, self[2]), cast(nn.LayerNorm, self[3])

    def embed(self, patches: Float[Tensor, "B L P"], window_frames: int | None = None) -> Float[Tensor, "B L D"]:
        """Return tokens with positions for all patches of each window, in order.

        Args:
            patches: the cells of all patches.
            window_frames: length of the window in frames (default: that of the configuration).
        """
        tokens: Tensor = self(patches)
        if window_frames in (None, self._window[1]):
            return tokens + self.positions
        return tokens + self._positions(int(window_frames), tokens.shape[2]).to(self.positions)

    def embed_cells(self, cells: Float[Tensor, "B K P"], visible: Int64[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
        """Return tokens with positions for visible patches.

        Args:
            cells: normalized cells of each patch, in the type of the weights.
            visible: number of each patch in its window, which decides its position.
        """
        norm, linear, last = self.parts
        tokens: Tensor = last(linear(torch.addcmul(norm.bias, cells, norm.weight)))
        return tokens + self.positions[visible].to(tokens.dtype)

    def _positions(self, window_frames: int, width: int) -> Float[Tensor, "L D"]:
        rows, columns = patch_grid(self._window[0], window_frames, self._patch_shape)
        return positions_2d(rows, columns, width)


class Transformer(nn.Module):
    """The trunk: pre-norm blocks and a last LayerNorm, from `[B, L, D]` to `[B, L, D]`."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.depth))

    @property
    def blocks(self) -> list[Block]:
        """Blocks in the order of the computation."""
        return [cast(Block, block) for block in self.layers]

    def forward(self, tokens: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Apply every block and then the last norm."""
        for block in self.layers:
            tokens = block(tokens)
        normalized: Tensor = self.norm(tokens)
        return normalized


class Block(nn.ModuleList):
    """Attention and feed-forward network, each added to its input; a list, because checkpoints name them 0 and 1."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__([Attention(config), FeedForward(config)])

    @property
    def attention(self) -> Attention:
        """Attention of the block."""
        return cast(Attention, self[0])

    @property
    def feed_forward(self) -> FeedForward:
        """Feed-forward network of the block."""
        return cast(FeedForward, self[1])

    def forward(self, tokens: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Apply attention and the feed-forward network, each with its residual connection."""
        for layer in self:
            tokens = tokens + layer(tokens)
        return tokens


class Attention(nn.Module):
    """Multi-head self-attention over the tokens of a window, scaled by head_width ** -0.5, without biases."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        inner = config.heads * config.head_width
        self.head_width, self.heads = config.head_width, config.heads
        self.norm = nn.LayerNorm(config.width)
        self.to_qkv = nn.Linear(config.width, 3 * inner, bias=False)
        self.to_out = nn.Linear(inner, config.width, bias=False)

    def forward(self, tokens: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Return the output of attention, without the residual connection."""
        # [B, L, 3 * H * head_width] to three tensors [B, H, L, head_width]
        qkv = self.to_qkv(self.norm(tokens)).unflatten(-1, (3, -1, self.head_width))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value, scale=self.head_width**-0.5)
        out: Tensor = self.to_out(attended.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """LayerNorm and a two-layer perceptron with the exact GELU, applied to each token separately."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, config.mlp_width),
            nn.GELU(),
            nn.Linear(config.mlp_width, config.width),
        )

    @property
    def norm(self) -> nn.LayerNorm:
        """Norm of the input."""
        return cast(nn.LayerNorm, self.net[0])

    @property
    def linear_layers(self) -> tuple[nn.Linear, nn.Linear]:
        """Linear layers into the hidden width and back."""
        return cast(nn.Linear, self.net[1]), cast(nn.Linear, self.net[3])

    def forward(self, tokens: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Return the output of the perceptron, without the residual connection."""
        out: Tensor = self.net(tokens)
        return out


def _require_window(mel: Tensor, config: EncoderConfig) -> None:
    frames = config.patch_frames
    if mel.ndim != 3 or mel.shape[1] != config.n_mels or not mel.shape[2] or mel.shape[2] % frames:
        raise InvalidInput(
            f"mel has shape {list(mel.shape)}, but encoder {config.name!r} needs [B, {config.n_mels}, N], mel-first, "
            f"where N is a multiple of {frames} and usually {config.window_frames}; cut windows of that many frames, "
            "and transpose frame-major windows"
        )
