"""The interface of all inference engines: `engine(windows)` returns embeddings.

A runtime chooses its kernels by the shape of the batch, so another shape can change the last bits of a row. Every call
therefore uses the engine's own batch shape. An incomplete batch is padded with silence, whose embeddings are removed.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

from model.encoder.config import EncoderConfig
from model.inference.config import EngineName
from stores.errors import DigestMismatch, InvalidInput
from stores.json_codec import JsonSettings
from stores.quantize import Quantizer

ENGINES: tuple[str, ...] = get_args(EngineName)
TOLERANCES = {"fp32": 1e-4, "bf16": 2e-2}
"""Largest distance between an embedding and that of eager in fp32, divided by the length of the latter, by precision.
A distance of 0.02 is a cosine of 0.9998."""


@dataclass(frozen=True)
class EngineSettings(JsonSettings):
    """The settings, software and hardware of an engine, which can change a value and are part of the provenance."""

    name: str
    """One of `ENGINES`."""
    precision: str
    """Precision of matrix products, fp32 or bf16; everything else is computed in fp32."""
    device: str
    """`cpu`, or the name of the GPU."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the software that computes."""
    export: str = ""
    """SHA-256 of the exported file; empty for eager."""
    layer: int | str | None = None
    """Layer of the embeddings, see `model.inference.layers`; None for the encoder's embedding."""


class Engine(ABC):
    """A function from windows to embeddings.

    Attributes:
        config: configuration of the encoder.
        settings: settings of the engine.
        max_batch: number of windows of the maximum batch.
        batch_windows: number of windows of every batch that the engine runs.
        quantizer: quantizer whose codes are the input; None if the input is float32 power.
    """

    def __init__(
        self, config: EncoderConfig, settings: EngineSettings, max_batch: int, quantizer: Quantizer | None = None
    ) -> None:
        self.config = config
        self.settings = settings
        self.max_batch = max_batch
        self.batch_windows = max_batch
        self.quantizer = quantizer

    @property
    def tolerance(self) -> float:
        """Largest distance from the embedding of eager in fp32, divided by the length of that embedding."""
        return TOLERANCES[self.settings.precision]

    def with_batch_for(self, windows: int) -> Self:
        """Return this engine at the batch shape for `windows`: the next power of two, at most the maximum batch.

        Raises:
            InvalidInput: `windows` is less than 1.
        """
        if windows < 1:
            raise InvalidInput(f"a batch must have at least 1 window (got {windows})")
        if self.has_fixed_batch():
            return self
        engine = copy.copy(self)
        engine.batch_windows = min(self.max_batch, 1 << (windows - 1).bit_length())
        return engine

    def has_fixed_batch(self) -> bool:
        """Return whether the engine supports only one batch shape."""
        return False

    def accepts_codes(self, quantizer: Quantizer) -> bool:
        """Return whether the input is stored codes of `quantizer`; if not, they must be converted to power.

        Raises:
            DigestMismatch: the engine expects the codes of another quantizer.
        """
        if self.quantizer is not None and self.quantizer != quantizer:
            raise DigestMismatch(
                f"engine {self.settings.name} expects codes of {self.quantizer}, but the store has {quantizer}; "
                "export the engine again with --store, or use another engine"
            )
        return self.quantizer is not None

    def __call__(self, windows: NDArray[Any]) -> NDArray[np.float32]:
        """Embed windows.

        Args:
            windows: `[n, M, N]`, mel-first, with any n from 1; float32 power, or codes if there is a quantizer.

        Returns:
            `[n, D]` float32; `[n, layers, D]` or `[n, tokens, D]` if the engine keeps all layers or tokens.

        Raises:
            InvalidInput: the windows have another type or size.
        """
        self._require_input(windows)
        size = self.batch_windows
        return np.concatenate([self._embed(windows[i : i + size]) for i in range(0, len(windows), size)])

    def _embed(self, windows: NDArray[Any]) -> NDArray[np.float32]:
        missing = self.batch_windows - len(windows)
        batch = np.pad(windows, ((0, missing), (0, 0), (0, 0))) if missing else np.ascontiguousarray(windows)
        return self._run(batch)[: len(windows)]

    @abstractmethod
    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Return the embeddings `[B, D]`, or with an axis more, of a batch of `batch_windows` windows."""

    def _require_input(self, windows: NDArray[Any]) -> None:
        dtype = "float32" if self.quantizer is None else self.quantizer.dtype
        size = (self.config.n_mels, self.config.window_frames)
        if windows.dtype != dtype or windows.ndim != 3 or windows.shape[1:] != size or not len(windows):
            raise InvalidInput(
                f"engine {self.settings.name} needs windows of {dtype} [n, {size[0]}, {size[1]}], mel-first "
                f"(got {windows.dtype} {list(windows.shape)})"
            )
