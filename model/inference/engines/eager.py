"""Eager: PyTorch itself, the default engine and the one that all others are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder.device import fastest_precision
from model.encoder.vit import Encoder
from model.inference.engines.engine import Engine, EngineFacts
from model.inference.engines.forward import InferenceModule
from stores.quantize import Quantizer

MAX_BATCH = {"cpu": 32, "cuda": 256}
"""Windows of a batch. On a CPU 16 to 64 are equally fast, and the activations of 32 stay in its caches."""


class Eager(Engine):
    """The encoder in this process, on the device that its weights lie on.

    Args:
        encoder: in evaluation mode.
        precision: fp32, bf16, or auto: bf16 where products are faster in it (a GPU, AVX-512 bf16, AMX), else fp32.
        layer: mean over the tokens after this block instead of the embedding.
        quantizer: read its codes instead of power.

    Raises:
        InvalidInput: an unknown precision, or no such layer.
    """

    def __init__(
        self,
        encoder: Encoder,
        precision: str = "auto",
        layer: int | None = None,
        quantizer: Quantizer | None = None,
    ) -> None:
        precision = fastest_precision() if precision == "auto" else precision
        self._device = next(encoder.parameters()).device
        self._reading = InferenceModule(encoder, precision, quantizer, layer).eval().to(self._device)
        facts = EngineFacts("eager", precision, _name(self._device), {"torch": torch.__version__}, layer=layer)
        super().__init__(encoder.config, facts, MAX_BATCH[self._device.type], quantizer)

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            embedded: NDArray[np.float32] = self._reading(torch.from_numpy(batch).to(self._device)).cpu().numpy()
        return embedded


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
