"""An engine beside eager in fp32: on music, silence, noise and full scale, at batches of 1, 2, 63 and the largest."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoder.vit import Encoder
from model.inference.engines.eager import Eager
from model.inference.engines.engine import Engine
from pipeline.audio.mel import mel_power
from stores.errors import InvalidInput
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore

MIN_COSINE = 0.9995
BATCHES = (1, 2, 63)


@dataclass(frozen=True)
class ExportValidation:
    """How an engine's embeddings compare with eager's in fp32."""

    windows: int
    """Windows compared."""
    of: str
    """Where the music among them came from."""
    finite: bool
    """Whether every value is a number."""
    least_cosine: float
    """Between the embeddings of one window, over all windows and batches."""
    largest_distance: float
    """Of two embeddings of a window, as a share of eager's length."""
    tolerance: float
    """What the engine promises of that."""
    milliseconds_per_window: float
    """Of the engine at its largest batch, wall clock, one run after warming up."""

    def require(self) -> None:
        """Check that the engine may be published.

        Raises:
            InvalidInput: it is not finite, or too far from eager.
        """
        if not self.finite or self.least_cosine < MIN_COSINE or self.largest_distance > self.tolerance:
            raise InvalidInput(f"the engine is not as good as eager, so it is not published: {asdict(self)}")


def compare(engine: Engine, encoder: Encoder, store: MelStore | None = None) -> ExportValidation:
    """Run both on the same windows.

    Args:
        engine: any engine of the encoder.
        encoder: the reference, in fp32 on the device that its weights lie on.
        store: where to take real mels from; made-up music without one.
    """
    power = windows(engine.config.window_frames, store)
    given: NDArray[Any] = power
    if engine.quantizer is not None:
        given = engine.quantizer.encode(power)
        power = engine.quantizer.decode(given)
    expected = Eager(encoder, "fp32")(power)
    distances, cosines, finite, seconds = [0.0], [1.0], True, 0.0
    for count in (*BATCHES, engine.largest):
        rows = np.arange(count) % len(power)
        shaped = engine.shaped(count)
        shaped(given[rows])  # warms up
        start = time.perf_counter()
        found = shaped(given[rows])
        seconds = time.perf_counter() - start
        finite &= bool(np.isfinite(found).all())
        distance, cosine = _apart(found.astype(np.float64), expected[rows].astype(np.float64))
        distances.append(distance)
        cosines.append(cosine)
    milliseconds = round(1e3 * seconds / engine.largest, 4)
    of = "made up" if store is None else str(store.path)
    return ExportValidation(len(power), of, finite, min(cosines), max(distances), engine.tolerance, milliseconds)


def _apart(found: NDArray[np.float64], expected: NDArray[np.float64]) -> tuple[float, float]:
    """The largest distance, as a share of the expected length, and the least cosine, row by row."""
    lengths = np.linalg.norm(expected, axis=1)
    distances = np.linalg.norm(found - expected, axis=1) / lengths
    cosines = (found * expected).sum(axis=1) / lengths / np.linalg.norm(found, axis=1)
    return float(distances.max()), float(cosines.min())


def windows(frames: int, store: MelStore | None = None) -> NDArray[np.float32]:
    """Power mels `[n, 128, frames]`: music, then silence, noise, a click and a square wave at full scale."""
    spec = MelSpec()
    samples = (frames - 1) * spec.hop_samples
    rng = np.random.default_rng(0)
    click = np.zeros(samples, np.float32)
    click[samples // 2] = 1.0
    square = np.where(np.sin(2 * np.pi * 220 * np.arange(samples) / spec.sample_rate_hz) >= 0, 1, -1)
    extremes = [np.zeros(samples), rng.uniform(-1, 1, samples), click, square]
    heard = [mel_power(np.asarray(one, np.float32), spec) for one in extremes]
    return np.stack([*(_music(frames, spec, rng) if store is None else _real(frames, store)), *heard])


def _real(frames: int, store: MelStore, most: int = 60) -> list[NDArray[np.float32]]:
    long = [row for row in store.rows if row.state == "written" and row.frames >= frames]
    if not long:
        raise InvalidInput(f"no clip of {store.path} has {frames} frames to compare engines on; name another --store")
    return [store.window(row.index, 0, frames) for row in long[:: -(-len(long) // most)]]


def _music(frames: int, spec: MelSpec, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Chords of decaying harmonics, at several loudnesses."""
    t = np.arange((frames - 1) * spec.hop_samples) / spec.sample_rate_hz
    made = []
    for loudness in np.geomspace(1e-3, 0.9, 12):
        notes = 55 * 2 ** (rng.integers(0, 48, 4) / 12)
        partials = np.stack([np.sin(2 * np.pi * hz * k * t) / k for hz in notes for k in range(1, 6)])
        sound: NDArray[np.float64] = partials.sum(axis=0) * np.exp(-2 * (t % 0.5))
        scaled: NDArray[np.float32] = (loudness * sound / np.abs(sound).max()).astype(np.float32)
        made.append(mel_power(scaled, spec))
    return made
