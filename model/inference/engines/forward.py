"""The forward pass of an encoder for inference: at a stated precision, from power or codes, to the end or to blocks.

In fp32 and to the end, the encoder itself runs. Otherwise the same weights are used in the same formulas, which are
written out so that PyTorch states every type and no runtime has to choose one. Products are bf16. LayerNorm, softmax,
the residual sums and the means are fp32. The module can be exported, because it changes no state and accepts batches of
any size.

Attention over 48 tokens consists of two products of small matrices and a softmax. Written out in this way, and with
weights that are cast once instead of in each call, a window of Myna-Base takes 6.4 instead of 7.3 ms in bf16 on one
core.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from model.encoder.config import PatchKind
from model.encoder.input_scale import scale_input
from model.encoder.patches import patchify
from model.encoder.vit import Encoder
from model.inference.layers import ALL, Layer, blocks_of
from stores.errors import InvalidInput
from stores.quantize import Quantizer

PRECISIONS = ("fp32", "bf16")


class InferenceModule(nn.Module):
    """The forward pass from `[B, M, N]` windows to `[B, D]` embeddings in float32.

    Args:
        encoder: the encoder, which is not changed; its weights are copied if they must be rounded.
        precision: precision of products, fp32 or bf16.
        quantizer: quantizer of the codes that are the input (default: the input is float32 power).
        layer: layer of the embeddings, without the last LayerNorm, see `model.inference.layers` (default: the encoder's
            embedding). `all` gives `[B, layers, D]`.
        keeps_tokens: return `[B, tokens, D]`, where the tokens of a hybrid are those of its square and then those of
            its vertical patches (default: their mean).

    Raises:
        InvalidInput: the precision is unknown, there is no such block, or all layers and all tokens are requested.
    """

    table: Tensor | None

    def __init__(
        self,
        encoder: Encoder,
        precision: str = "fp32",
        quantizer: Quantizer | None = None,
        layer: Layer = None,
        keeps_tokens: bool = False,
    ) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise InvalidInput(f"precision {precision!r} is unknown; use one of {', '.join(PRECISIONS)}")
        require_one_axis(layer, keeps_tokens)
        self.product_dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.encoder = _round_weights(encoder) if precision == "bf16" else encoder
        self.layer, self.keeps_tokens = layer, keeps_tokens
        self._blocks = () if layer is None else tuple(blocks_of(layer, encoder.config.depth))
        has_codes = quantizer is not None and quantizer.bits < 32
        self.register_buffer("table", torch.tensor(quantizer.table()) if quantizer and has_codes else None)

    def forward(self, windows: Shaped[Tensor, "B M N"]) -> Float[Tensor, "B D"]:
        """Embed windows of power or codes."""
        power = windows if self.table is None else _dequantize(windows, self.table)
        if self.product_dtype is torch.float32 and self.layer is None and not self.keeps_tokens:
            embeddings: Tensor = self.encoder(power)
            return embeddings
        return self._embed_to_layer(power)

    def _embed_to_layer(self, power: Tensor) -> Tensor:
        config, trunk = self.encoder.config, self.encoder.transformer
        scaled = scale_input(power, config.input_scale)
        kinds = [self._tokens(patchify(scaled, shape), kind) for kind, shape in config.patch_shapes.items()]
        sizes = [tokens.shape[0] for tokens in kinds]  # not len(), which would fix the batch size when exported
        tokens = torch.cat(kinds)
        outputs = []
        for number, block in enumerate(list(trunk.layers)[: max(self._blocks, default=None)], 1):
            attention, feed_forward = block.children()
            tokens = tokens + self._attention(attention, tokens)
            tokens = tokens + self._feed_forward(feed_forward, tokens)
            if number in self._blocks:
                outputs.append(self._pool(tokens, sizes))
        if self.layer is None:
            return self._pool(trunk.norm(tokens), sizes)
        return torch.stack(outputs, dim=1) if self.layer == ALL else _mean(outputs)

    def _pool(self, tokens: Tensor, sizes: list[int]) -> Tensor:
        """Return the mean over the tokens of each patch kind, side by side, or all tokens one after the other."""
        if self.keeps_tokens:
            return torch.cat(torch.split(tokens, sizes), dim=1)
        return torch.cat(torch.split(tokens.mean(dim=1), sizes), dim=-1)

    def _tokens(self, patches: Tensor, kind: PatchKind) -> Tensor:
        embedding = self.encoder.embedding(kind)
        _, norm_cells, to_width, norm_width = embedding
        tokens: Tensor = norm_width(to_width(norm_cells(patches).to(self.product_dtype)).float())
        return tokens + embedding.positions

    def _attention(self, attention: Any, tokens: Tensor) -> Tensor:
        qkv = attention.to_qkv(attention.norm(tokens).to(self.product_dtype))
        query, key, value = qkv.unflatten(-1, (3, -1, attention.head_width)).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (query * attention.head_width**-0.5) @ key.transpose(-1, -2)
        heads = scores.float().softmax(dim=-1).to(self.product_dtype) @ value
        output: Tensor = attention.to_out(heads.transpose(1, 2).flatten(2))
        return output

    def _feed_forward(self, feed_forward: Any, tokens: Tensor) -> Tensor:
        norm, widen, _, narrow = feed_forward.net
        output: Tensor = narrow(F.gelu(widen(norm(tokens).to(self.product_dtype))))
        return output


def require_one_axis(layer: Layer, keeps_tokens: bool) -> None:
    """Check that a row has either all layers or all tokens.

    Raises:
        InvalidInput: both are requested.
    """
    if layer == ALL and keeps_tokens:
        raise InvalidInput("--layer all and --pool tokens cannot be combined; choose one layer for the tokens")


def _mean(outputs: list[Tensor]) -> Tensor:
    return outputs[0] if len(outputs) == 1 else torch.stack(outputs).mean(dim=0)


def _dequantize(codes: Tensor, table: Tensor) -> Tensor:
    # int32 first, because TensorRT supports only casts of bytes; index_select is the fastest lookup on a CPU
    return table.index_select(0, codes.int().flatten()).view(codes.shape)


def _round_weights(encoder: Encoder) -> Encoder:
    """Return a copy whose linear layers have bf16 weights; LayerNorms and positions stay fp32."""
    rounded = copy.deepcopy(encoder)
    for module in rounded.modules():
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)
    return rounded
