"""What every exporter is given, and the graph that it compiles."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from model.encoder.vit import Encoder
from model.inference.engines.forward import InferenceModule
from stores.errors import InvalidInput
from stores.quantize import Quantizer


@dataclass(frozen=True)
class ExportPlan:
    """How an engine is made."""

    precision: str = "fp32"
    """Of the products."""
    largest: int = 1024
    """Windows of the largest batch."""
    usual: int = 64
    """Windows of the batch that kernels are chosen for; strictly between 1 and the largest, or it would be special."""
    quantizer: Quantizer | None = None
    """Read its codes; None for float32 power."""

    def __post_init__(self) -> None:
        if not 1 < self.usual < self.largest:
            raise InvalidInput(
                f"usual batch {self.usual}, largest {self.largest}: needs 1 < usual < largest, or batches of 1 fail"
            )

    def reading(self, encoder: Encoder) -> InferenceModule:
        """The module that is exported, on the encoder's device."""
        return InferenceModule(encoder, self.precision, self.quantizer).eval().to(next(encoder.parameters()).device)

    def example(self, encoder: Encoder, batch: int) -> Tensor:
        """Silence of the input's type, `[batch, 128, 96]`, on the encoder's device."""
        dtype = torch.float32 if self.quantizer is None else getattr(torch, self.quantizer.dtype)
        size = (batch, encoder.config.n_mels, encoder.config.window_frames)
        return torch.zeros(size, dtype=dtype, device=next(encoder.parameters()).device)

    def program(self, encoder: Encoder) -> ExportedProgram:
        """The graph, for batches of 1 to the largest."""
        shapes = ({0: Dim("batch", min=1, max=self.largest)},)
        with quiet(), torch.no_grad():
            return torch.export.export(self.reading(encoder), (self.example(encoder, 2),), dynamic_shapes=shapes)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what PyTorch's own exporters say of PyTorch's own code."""
    logger = logging.getLogger(
        "torch.onnx._internal.exporter._registration"
    )  # on torchvision, which nothing here needs
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
