"""The settings of an export and the graph that is exported, which all exported engines share."""

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
    """The settings of an export."""

    precision: str = "fp32"
    """Precision of matrix products."""
    max_batch: int = 1024
    """Number of windows of the maximum batch."""
    opt_batch: int = 64
    """Number of windows for which kernels are chosen, between 1 and the maximum batch and equal to neither."""
    quantizer: Quantizer | None = None
    """Quantizer whose codes are the input; None for float32 power."""

    def __post_init__(self) -> None:
        if not 1 < self.opt_batch < self.max_batch:
            raise InvalidInput(
                f"--usual must be more than 1 and less than --largest (got --usual {self.opt_batch}, "
                f"--largest {self.max_batch}); otherwise batches of 1 window fail"
            )

    def module(self, encoder: Encoder) -> InferenceModule:
        """Return the module that is exported, on the encoder's device."""
        return InferenceModule(encoder, self.precision, self.quantizer).eval().to(next(encoder.parameters()).device)

    def example_input(self, encoder: Encoder, batch: int) -> Tensor:
        """Return silence `[batch, M, N]` of the input's type, on the encoder's device."""
        dtype = torch.float32 if self.quantizer is None else getattr(torch, self.quantizer.dtype)
        size = (batch, encoder.config.n_mels, encoder.config.window_frames)
        return torch.zeros(size, dtype=dtype, device=next(encoder.parameters()).device)

    def program(self, encoder: Encoder) -> ExportedProgram:
        """Return the graph for batches of 1 to the maximum batch."""
        shapes = ({0: Dim("batch", min=1, max=self.max_batch)},)
        with suppress_exporter_warnings(), torch.no_grad():
            return torch.export.export(self.module(encoder), (self.example_input(encoder, 2),), dynamic_shapes=shapes)


@contextlib.contextmanager
def suppress_exporter_warnings() -> Iterator[None]:
    """Suppress the warnings of PyTorch's exporters about PyTorch's own code."""
    # this logger warns about torchvision, which the export does not need
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
