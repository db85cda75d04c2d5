"""The extraction of features from a mel store by an engine, in batches of windows of several clips.

An embedding does not depend on the other windows of its batch, and nothing is random. The same store, engine and
settings therefore give the same bytes, whether an extraction runs in one go, is resumed, or is spread over workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoder.config import EncoderConfig
from model.encoder.device import fastest_device
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.engines import auto, registry
from model.inference.engines.engine import Engine
from model.inference.engines.forward import require_one_axis
from model.inference.layers import ALL, Layer, suffix_of
from model.inference.prefetch import prefetch
from model.inference.window_reader import WindowReader
from model.inference.windows import Windowing
from stores.errors import InvalidInput
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.quantize import Quantizer

PART_WINDOWS = 1_024
"""Number of windows of a part: about 250 clips of 10 s, 7 s of one core in bf16. A kill loses at most one part."""


@dataclass(frozen=True)
class Extraction:
    """The computation of features by one engine."""

    engine: Engine
    """The engine, at the batch shape that it runs."""
    windowing: Windowing
    """Settings of windows and pooling."""
    report_progress: Callable[[int], object] = int
    """Function that is called after each batch with the number of its windows."""

    def compute_parts(self, store: MelStore, parts: Sequence[Sequence[ClipRow]]) -> Iterator[NDArray[np.float32]]:
        """Yield the features `[rows, D]` of each part in order, while the next windows are read in the background.

        With all layers or tokens, they have an axis between the two.

        Raises:
            InvalidInput: an embedding is NaN or infinite; the error names the clip.
            DigestMismatch: the engine expects the codes of another quantizer.
        """
        as_codes = self.engine.accepts_codes(store.quantizer)
        reader = WindowReader(store, self.windowing, self.engine.batch_windows, as_codes)
        with closing(prefetch(_batches_with_ends(reader, parts))) as batches:
            for part in parts:
                embeddings = []
                while (batch := next(batches)) is not None:
                    embeddings.append(self.engine(batch))
                    self.report_progress(len(batch))
                yield self._pool(part, np.concatenate(embeddings))

    def _pool(self, clips: Sequence[ClipRow], embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        counts = [len(self.windowing.starts(row.frames)) for row in clips]
        if not np.isfinite(embeddings).all():
            window = int(np.flatnonzero(~np.isfinite(embeddings.reshape(len(embeddings), -1)).all(axis=1))[0])
            clip = clips[int(np.searchsorted(np.cumsum(counts), window, side="right"))]
            raise InvalidInput(
                f"the embedding of clip {clip.id!r} ({clip.source}) is not finite; check the "
                "checkpoint, or extract with --precision fp32"
            )
        return embeddings if self.windowing.pool != "mean" else mean_over_windows(embeddings, counts)


def _batches_with_ends(reader: WindowReader, parts: Sequence[Sequence[ClipRow]]) -> Iterator[NDArray[Any] | None]:
    """Yield the batches of each part, followed by None."""
    for part in parts:
        yield from reader.batches(part)
        yield None


def mean_over_windows(embeddings: NDArray[np.float32], counts: Sequence[int]) -> NDArray[np.float32]:
    """Return the mean `[clips, D]` of `[windows, D]` over the windows of each clip, summed in float64.

    An axis of layers between the two remains.

    Args:
        embeddings: `[windows, D]`, clip after clip.
        counts: the number of windows of each clip.
    """
    starts = np.cumsum([0, *counts[:-1]])
    sums = np.add.reduceat(embeddings, starts, axis=0, dtype=np.float64)
    mean: NDArray[np.float32] = (sums / np.reshape(counts, (-1, *(1,) * (sums.ndim - 1)))).astype(np.float32)
    return mean


@dataclass(frozen=True)
class ExtractionConfig:
    """The settings of an extraction, each of which can change the result."""

    engine: str = "eager"
    """Name of an engine, or `auto`."""
    precision: str = "auto"
    """`fp32`, `bf16`, or `auto` for the fastest precision of this machine."""
    layer: Layer = None
    """Layer of the embeddings, see `model.inference.layers`; None for the encoder's embedding."""
    windowing: Windowing = field(default_factory=Windowing)
    """Settings of windows and pooling."""
    patches: str = "auto"
    """Kinds of patches that the encoder embeds."""
    input_scale: str | None = None
    """Input scale that a published checkpoint was trained with."""
    compat: str | None = None
    """`public` for the rule of the public code, see `WindowSettings.compat`."""

    def __post_init__(self) -> None:
        require_one_axis(self.layer, self.keeps_tokens)

    @property
    def keeps_tokens(self) -> bool:
        """True if a row has every token of a window instead of their mean."""
        return self.windowing.pool == "tokens"

    def vectors(self, encoder: EncoderConfig) -> int | None:
        """Return the number of layers or tokens of a row, or None if a row is one embedding."""
        if self.keeps_tokens:
            return sum(encoder.patch_counts.values())
        return encoder.depth if self.layer == ALL else None

    @property
    def suffix(self) -> str:
        """The part of the features' name that states the options that are not default; empty without such options."""
        default, windowing = Windowing(), self.windowing
        options = [
            (windowing.hop_frames != windowing.window_frames, f"hop{windowing.hop_frames}"),
            (self.compat is not None, f"{self.compat}"),
            (windowing.tail != default.tail and self.compat is None, "no-tail"),
            (windowing.pool != default.pool, {"none": "windows"}.get(windowing.pool, windowing.pool)),
            (self.layer is not None, suffix_of(self.layer)),
        ]
        return "".join(f"-{word}" for differs, word in options if differs)

    def open_engine(self, loaded: LoadedCheckpoint, quantizer: Quantizer | None) -> tuple[Engine, list[str]]:
        """Return the engine at its maximum batch, and the messages of automatic selection, one per line.

        Args:
            loaded: the encoder, which is moved to the fastest device.
            quantizer: quantizer of the store; None if the engine gets power.

        Raises:
            InvalidInput, MissingArtifact, CorruptArtifact, DigestMismatch: see `registry.open_engine`.
        """
        encoder = loaded.encoder.to(fastest_device())
        name, messages = self.engine, list[str]()
        if name == "auto":
            if self.layer is None and self.precision == "auto" and not self.keeps_tokens:
                return auto.select(encoder, loaded.path, quantizer)
            name, messages = "eager", ["engine auto: eager, because it supports every layer and precision"]
        options = (self.precision, self.layer, quantizer, self.keeps_tokens)
        return registry.open_engine(encoder, loaded.path, name, *options), messages
