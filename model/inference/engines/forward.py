"""An encoder as an engine runs it: at a precision, from power or from stored codes, to its end or to one block.

In fp32 and to its end it is the encoder itself. Otherwise it is the same weights through the same formulas, written out
so that each type stands in PyTorch and no runtime guesses one: products in bf16; LayerNorm, softmax, the sums between
blocks and the means in fp32. It can be exported: no state is swapped, and the batch may be of any size.

Attention over 48 tokens is two products of small matrices and a softmax; written so, it takes 6.4 instead of 7.3 ms a
window of Myna-Base in bf16 on one core, together with casting the weights once instead of at each call.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from model.encoder.config import PATCH_SHAPES, PatchKind
from model.encoder.input_scale import scale_input
from model.encoder.patches import patchify
from model.encoder.vit import Encoder
from stores.errors import InvalidInput
from stores.quantize import Quantizer

PRECISIONS = ("fp32", "bf16")


class InferenceModule(nn.Module):
    """An encoder's inference pass, `[B, M, N]` windows to `[B, D]` embeddings in float32.

    Args:
        encoder: stays as it is; its weights are copied if they must be rounded.
        precision: of the products: fp32 or bf16.
        quantizer: if given, windows are its codes and are turned into power first; else they are float32 power.
        layer: mean over the tokens after this block, from 1, without the last LayerNorm; None for the embedding.

    Raises:
        InvalidInput: an unknown precision, or no such block.
    """

    table: Tensor | None

    def __init__(
        self, encoder: Encoder, precision: str = "fp32", quantizer: Quantizer | None = None, layer: int | None = None
    ) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise InvalidInput(f"precision {precision!r} is unknown; use one of {PRECISIONS}")
        if layer is not None and not 1 <= layer <= encoder.config.depth:
            raise InvalidInput(f"layer {layer} is not there; the encoder has blocks 1 to {encoder.config.depth}")
        self.products = torch.bfloat16 if precision == "bf16" else torch.float32
        self.encoder = _rounded(encoder) if precision == "bf16" else encoder
        self.layer = layer
        codes = quantizer is not None and quantizer.bits < 32
        self.register_buffer("table", torch.tensor(quantizer.table()) if quantizer and codes else None)

    def forward(self, windows: Shaped[Tensor, "B M N"]) -> Float[Tensor, "B D"]:
        """Embed windows, power or codes."""
        power = windows if self.table is None else _power(windows, self.table)
        if self.products is torch.float32 and self.layer is None:
            embedded: Tensor = self.encoder(power)
            return embedded
        return self._to_layer(power)

    def _to_layer(self, power: Tensor) -> Tensor:
        config, trunk = self.encoder.config, self.encoder.transformer
        scaled = scale_input(power, config.input_scale)
        read = [self._tokens(patchify(scaled, PATCH_SHAPES[kind]), kind) for kind in config.patch_kinds]
        sizes = [one.shape[0] for one in read]  # shape[0], not len(): the batch stays of any size when exported
        tokens = torch.cat(read)
        for block in list(trunk.layers)[: self.layer]:
            attention, feed_forward = block.children()
            tokens = tokens + self._attended(attention, tokens)
            tokens = tokens + self._fed_forward(feed_forward, tokens)
        if self.layer is None:
            tokens = trunk.norm(tokens)
        return torch.cat(torch.split(tokens.mean(dim=1), sizes), dim=-1)

    def _tokens(self, patches: Tensor, kind: PatchKind) -> Tensor:
        embedding = self.encoder.embedding(kind)
        _, norm_cells, to_width, norm_width = embedding
        tokens: Tensor = norm_width(to_width(norm_cells(patches).to(self.products)).float())
        return tokens + embedding.positions

    def _attended(self, attention: Any, tokens: Tensor) -> Tensor:
        qkv = attention.to_qkv(attention.norm(tokens).to(self.products)).unflatten(-1, (3, -1, attention.head_width))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (query * attention.head_width**-0.5) @ key.transpose(-1, -2)
        attended = scores.float().softmax(dim=-1).to(self.products) @ value
        out: Tensor = attention.to_out(attended.transpose(1, 2).flatten(2))
        return out

    def _fed_forward(self, feed_forward: Any, tokens: Tensor) -> Tensor:
        norm, widen, _, narrow = feed_forward.net
        out: Tensor = narrow(F.gelu(widen(norm(tokens).to(self.products))))
        return out


def _power(codes: Tensor, table: Tensor) -> Tensor:
    # int32 before anything else: TensorRT can only cast bytes. index_select is the fastest lookup on a CPU
    return table.index_select(0, codes.int().flatten()).view(codes.shape)


def _rounded(encoder: Encoder) -> Encoder:
    """A copy whose products have bf16 weights; LayerNorms and positions stay fp32."""
    rounded = copy.deepcopy(encoder)
    for module in rounded.modules():
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)
    return rounded
