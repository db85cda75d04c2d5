"""A mel store and an engine become features: batches across clips, part by part, resumable at whole parts.

No window depends on its batch mates and nothing is random: the same store, engine and settings give the same bytes,
whether in one go, resumed, or by several workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoder.device import fastest_device
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.engines import auto, registry
from model.inference.engines.engine import Engine
from model.inference.prefetch import prefetched
from model.inference.window_reader import WindowReader
from model.inference.windows import Windowing
from stores.errors import InvalidInput
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.quantize import Quantizer

PART_WINDOWS = 1_024
"""Windows of a part: about 250 clips of 10 s, 7 s of one core in bf16; a kill loses at most one."""


@dataclass(frozen=True)
class Extraction:
    """How a store is embedded."""

    engine: Engine
    """What embeds, at the batch shape that it is to run."""
    windowing: Windowing
    """Which windows, and how they are pooled."""
    tell: Callable[[int], object] = int
    """Called with the windows of each batch when it is done."""

    def parts(self, store: MelStore, parts: Sequence[Sequence[ClipRow]]) -> Iterator[NDArray[np.float32]]:
        """The features `[rows, D]` of each part, in order; what comes next is read while this is computed.

        Raises:
            InvalidInput: an embedding is NaN or infinite; names the clip.
            DigestMismatch: the engine reads the codes of another quantiser.
        """
        reader = WindowReader(store, self.windowing, self.engine.batch_windows, self.engine.reads(store.quantizer))
        with closing(prefetched(_with_ends(reader, parts))) as windows:
            for part in parts:
                embedded = []
                while (batch := next(windows)) is not None:
                    embedded.append(self.engine(batch))
                    self.tell(len(batch))
                yield self._pooled(part, np.concatenate(embedded))

    def _pooled(self, clips: Sequence[ClipRow], embedded: NDArray[np.float32]) -> NDArray[np.float32]:
        counts = [len(self.windowing.starts(row.frames)) for row in clips]
        if not np.isfinite(embedded).all():
            bad = int(np.flatnonzero(~np.isfinite(embedded).all(axis=1))[0])
            clip = clips[int(np.searchsorted(np.cumsum(counts), bad, side="right"))]
            raise InvalidInput(
                f"the embedding of clip {clip.id!r} ({clip.source}) is not finite: check the "
                "checkpoint, or extract with --precision fp32"
            )
        return embedded if self.windowing.pool == "none" else mean_of(embedded, counts)


def _with_ends(reader: WindowReader, parts: Sequence[Sequence[ClipRow]]) -> Iterator[NDArray[Any] | None]:
    """The batches of each part, and None after them."""
    for part in parts:
        yield from reader.batches(part)
        yield None


def mean_of(embedded: NDArray[np.float32], counts: Sequence[int]) -> NDArray[np.float32]:
    """Mean `[clips, D]` of `[windows, D]` over each clip's windows, of which it has `counts`; summed in float64."""
    starts = np.cumsum([0, *counts[:-1]])
    sums = np.add.reduceat(embedded, starts, axis=0, dtype=np.float64)
    mean: NDArray[np.float32] = (sums / np.array(counts)[:, None]).astype(np.float32)
    return mean


@dataclass(frozen=True)
class ExtractionConfig:
    """What was asked of an extraction; all of it can change the result."""

    engine: str = "eager"
    """One of the engines, or auto."""
    precision: str = "auto"
    """fp32, bf16, or auto: the fastest here."""
    layer: int | None = None
    """Mean over the tokens after this block instead of the embedding."""
    windowing: Windowing = field(default_factory=Windowing)
    """Which windows, and how they are pooled."""
    patches: str = "auto"
    """Which patches the checkpoint's encoder reads."""
    input_scale: str | None = None
    """What a published checkpoint was trained on."""

    @property
    def suffix(self) -> str:
        """What makes the name of such features differ from that of the usual ones; empty for those."""
        usual, windowing = Windowing(), self.windowing
        said = [
            (windowing.hop_frames != usual.hop_frames, f"hop{windowing.hop_frames}"),
            (windowing.tail != usual.tail, "no-tail"),
            (windowing.pool != usual.pool, "windows"),
            (self.layer is not None, f"layer{self.layer}"),
        ]
        return "".join(f"-{word}" for differs, word in said if differs)

    def open(self, loaded: LoadedCheckpoint, quantizer: Quantizer | None) -> tuple[Engine, list[str]]:
        """The engine, at its largest batch, and what `auto` has to tell of its choice, a line each.

        Args:
            loaded: the encoder, which is moved to the fastest device.
            quantizer: of the store that is embedded; None where power goes in.

        Raises:
            InvalidInput, MissingArtifact, CorruptArtifact, DigestMismatch: as `registry.engine`.
        """
        encoder = loaded.encoder.to(fastest_device())
        if self.engine != "auto":
            chosen, told = self.engine, list[str]()
        elif self.layer is None and self.precision == "auto":
            return auto.choose(encoder, loaded.path, quantizer)
        else:
            chosen, told = "eager", ["engine auto: eager, the one that any layer and precision can be asked of"]
        return registry.engine(encoder, loaded.path, chosen, self.precision, self.layer, quantizer), told
