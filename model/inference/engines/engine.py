"""What all engines have in common: `engine(windows) -> embeddings`, at one batch shape, with a stated tolerance.

A runtime picks its kernels by the batch's shape, so a row can change in its last bits when the shape does. Every call
therefore runs at the engine's own shape: what is left over is filled up with silence, whose embeddings are cut off.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from model.encoder.config import EncoderConfig
from stores.errors import DigestMismatch, InvalidInput
from stores.quantize import Quantizer

ENGINES = ("eager", "compiled", "onnx", "tensorrt", "tensorrt-rtx")
TOLERANCES = {"fp32": 1e-4, "bf16": 2e-2}
"""Largest distance of an embedding from eager's in fp32, as a share of its length; 0.02 is a cosine of 0.9998."""


@dataclass(frozen=True)
class EngineFacts:
    """What an engine is: all of it can change a value, so all of it goes into the provenance of features."""

    name: str
    """One of `ENGINES`."""
    precision: str
    """Of the products: fp32 or bf16; everything else is fp32."""
    device: str
    """What it computes on: `cpu`, or the GPU's name."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of the software that computes."""
    export: str = ""
    """Digest of the exported files; empty for eager."""
    layer: int | None = None
    """Block whose tokens are averaged; None for the encoder's embedding."""

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON values."""
        return asdict(self)


class Engine(ABC):
    """Windows to embeddings.

    Attributes:
        config: of the encoder.
        facts: what it is.
        largest: windows of its largest batch.
        batch_windows: windows of each batch it runs.
        quantizer: whose codes it reads; None if it reads float32 power.
    """

    def __init__(
        self, config: EncoderConfig, facts: EngineFacts, largest: int, quantizer: Quantizer | None = None
    ) -> None:
        self.config = config
        self.facts = facts
        self.largest = largest
        self.batch_windows = largest
        self.quantizer = quantizer

    @property
    def tolerance(self) -> float:
        """Largest distance from eager's embedding in fp32, as a share of that embedding's length."""
        return TOLERANCES[self.facts.precision]

    def shaped(self, windows: int) -> Self:
        """The same engine at the batch shape for so many windows: a power of two, or its largest.

        Raises:
            InvalidInput: fewer than one window.
        """
        if windows < 1:
            raise InvalidInput(f"a batch of {windows} windows was asked for; at least one is needed")
        if self.is_fixed():
            return self
        shaped = copy.copy(self)
        shaped.batch_windows = min(self.largest, 1 << (windows - 1).bit_length())
        return shaped

    def is_fixed(self) -> bool:
        """Whether it was made for one batch shape only."""
        return False

    def reads(self, quantizer: Quantizer) -> bool:
        """Whether stored codes of `quantizer` go in as they are; power has to be made of them first if not.

        Raises:
            DigestMismatch: it reads the codes of another quantiser.
        """
        if self.quantizer is not None and self.quantizer != quantizer:
            raise DigestMismatch(
                f"engine {self.facts.name} was exported for codes of {self.quantizer}, the store has {quantizer}; "
                "export it again with --store, or use another engine"
            )
        return self.quantizer is not None

    def __call__(self, windows: NDArray[Any]) -> NDArray[np.float32]:
        """Embed windows.

        Args:
            windows: `[n, 128, 96]`, mel-first, any n from 1: float32 power, or codes if the engine reads those.

        Returns:
            `[n, D]` float32.

        Raises:
            InvalidInput: windows of another type or size.
        """
        self._require(windows)
        embedded = [
            self._batch(windows[i : i + self.batch_windows]) for i in range(0, len(windows), self.batch_windows)
        ]
        return np.concatenate(embedded)

    def _batch(self, windows: NDArray[Any]) -> NDArray[np.float32]:
        missing = self.batch_windows - len(windows)
        full = np.pad(windows, ((0, missing), (0, 0), (0, 0))) if missing else np.ascontiguousarray(windows)
        return self._run(full)[: len(windows)]

    @abstractmethod
    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Embed a batch of `batch_windows` windows, `[B, D]`."""

    def _require(self, windows: NDArray[Any]) -> None:
        dtype = "float32" if self.quantizer is None else self.quantizer.dtype
        size = (self.config.n_mels, self.config.window_frames)
        if windows.dtype != dtype or windows.ndim != 3 or windows.shape[1:] != size or not len(windows):
            raise InvalidInput(
                f"windows are {windows.dtype} {list(windows.shape)}; engine {self.facts.name} reads {dtype} "
                f"[n, {size[0]}, {size[1]}], mel-first"
            )
