"""The eager engine: the encoder in PyTorch, which is the default and the reference for all other engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder.config import EncoderConfig
from model.encoder.device import fastest_precision
from model.encoder.vit import Encoder
from model.inference.engines.engine import Engine, EngineSettings
from model.inference.engines.forward import InferenceModule
from model.inference.layers import Layer
from pipeline.cluster.machine import available_bytes
from stores.errors import InvalidInput
from stores.quantize import Quantizer

MAX_BATCH = {"cpu": 32, "cuda": 256}
"""Windows of the maximum batch by type of device. On a CPU, 16 to 64 are equally fast, and the activations of 32 fit
into its caches."""
WHOLE_BATCH_TOKENS = 256
"""Tokens of a window up to which the maximum batch is used. It is smaller for longer windows, whose attention grows
with the square of their tokens."""
ATTENTION_BYTES = 10
"""Bytes of attention for each pair of tokens and head: scores and weights in float32, and weights in bf16."""


class Eager(Engine):
    """The encoder in this process, on the device of its weights.

    Args:
        encoder: encoder in evaluation mode.
        precision: fp32, bf16, or auto, which is bf16 where products are faster in it (a GPU, AVX-512 bf16, AMX).
        layer: layer of the embeddings, see `model.inference.layers` (default: the encoder's embedding).
        quantizer: quantizer whose codes are the input (default: the input is power).
        keeps_tokens: return every token instead of their mean.

    Raises:
        InvalidInput: the precision is unknown, or there is no such layer.
    """

    def __init__(
        self,
        encoder: Encoder,
        precision: str = "auto",
        layer: Layer = None,
        quantizer: Quantizer | None = None,
        keeps_tokens: bool = False,
    ) -> None:
        precision = fastest_precision() if precision == "auto" else precision
        self._device = next(encoder.parameters()).device
        self._module = InferenceModule(encoder, precision, quantizer, layer, keeps_tokens).eval().to(self._device)
        device_name = _device_name(self._device)
        settings = EngineSettings("eager", precision, device_name, {"torch": torch.__version__}, layer=layer)
        largest = max_batch(encoder.config, self._device.type)
        if self._device.type == "cpu":
            _require_memory(encoder.config, available_bytes())
        super().__init__(encoder.config, settings, largest, quantizer)

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            embeddings: NDArray[np.float32] = self._module(torch.from_numpy(batch).to(self._device)).cpu().numpy()
        return embeddings


def max_batch(config: EncoderConfig, device_type: str) -> int:
    """Return the windows of the maximum batch, at least one: fewer for long windows."""
    tokens = max(config.patch_counts.values())
    share = min(1.0, (WHOLE_BATCH_TOKENS / tokens) ** 2)
    return max(1, int(MAX_BATCH[device_type] * share))


def _require_memory(config: EncoderConfig, free_bytes: int) -> None:
    """Check that the attention of one window fits into memory.

    Raises:
        InvalidInput: it does not.
    """
    tokens = max(config.patch_counts.values())
    needed = len(config.patch_kinds) * config.heads * tokens**2 * ATTENTION_BYTES
    if tokens > WHOLE_BATCH_TOKENS and needed > free_bytes:
        raise InvalidInput(
            f"a window of {config.window_frames} frames has {tokens} tokens, whose attention needs "
            f"{needed / 1e9:.1f} GB, and {free_bytes / 1e9:.1f} GB are free; use a smaller --window-frames"
        )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
