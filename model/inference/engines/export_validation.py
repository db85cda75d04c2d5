"""Export validation: the comparison of an engine with eager in fp32, before the engine is published.

The windows are music, silence, noise, a click and a square wave at full scale. The batches have 1, 2 and 63 windows and
the engine's maximum.
"""

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
MAX_STORE_WINDOWS = 60


@dataclass(frozen=True)
class ExportValidation:
    """The result of the comparison; `engine.json` contains it."""

    windows: int
    """Number of windows compared."""
    of: str
    """Path of the store with the music, or `made up` for synthesized music."""
    finite: bool
    """True if every value is finite."""
    least_cosine: float
    """Smallest cosine between the two embeddings of a window, over all windows and batches."""
    largest_distance: float
    """Largest distance between the two embeddings of a window, divided by the length of eager's embedding."""
    tolerance: float
    """Largest accepted value of this distance."""
    milliseconds_per_window: float
    """Wall-clock time of the engine at its maximum batch, in the run after the warm-up."""

    def require(self) -> None:
        """Check that the engine may be published.

        Raises:
            InvalidInput: values are not finite, or differ too much from those of eager.
        """
        if not self.finite or self.least_cosine < MIN_COSINE or self.largest_distance > self.tolerance:
            raise InvalidInput(
                "the engine is not published, because its embeddings are not finite or differ too much from those of "
                f"eager in fp32: {asdict(self)}"
            )


def compare(
    engine: Engine, encoder: Encoder, store: MelStore | None = None, spec: MelSpec | None = None
) -> ExportValidation:
    """Compare an engine with eager in fp32 on the same windows.

    Args:
        engine: an engine of the encoder.
        encoder: the encoder, which runs in fp32 on the device of its weights.
        store: mel store with music (default: synthesized music).
        spec: specification of the mels that the encoder reads (default: that of the paper).

    Raises:
        InvalidInput: no clip of the store is as long as a window.
    """
    power = validation_windows(engine.config.window_frames, store, spec)
    inputs: NDArray[Any] = power
    if engine.quantizer is not None:
        inputs = engine.quantizer.encode(power)
        power = engine.quantizer.decode(inputs)
    expected = Eager(encoder, "fp32")(power)
    distances, cosines, finite, seconds = [0.0], [1.0], True, 0.0
    for count in (*BATCHES, engine.max_batch):
        rows = np.arange(count) % len(power)
        embeddings, seconds = _run_warm(engine.with_batch_for(count), inputs[rows])
        finite &= bool(np.isfinite(embeddings).all())
        distance, cosine = _differences(embeddings.astype(np.float64), expected[rows].astype(np.float64))
        distances.append(distance)
        cosines.append(cosine)
    milliseconds = round(1e3 * seconds / engine.max_batch, 4)
    source = "made up" if store is None else str(store.path)
    return ExportValidation(len(power), source, finite, min(cosines), max(distances), engine.tolerance, milliseconds)


def _run_warm(engine: Engine, windows: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
    """Return the embeddings of a second run, and its time in seconds."""
    engine(windows)
    start = time.perf_counter()
    embeddings = engine(windows)
    return embeddings, time.perf_counter() - start


def _differences(embeddings: NDArray[np.float64], expected: NDArray[np.float64]) -> tuple[float, float]:
    """Return the largest distance between two rows, divided by the length of the expected row, and the least cosine."""
    lengths = np.linalg.norm(expected, axis=1)
    distances = np.linalg.norm(embeddings - expected, axis=1) / lengths
    cosines = (embeddings * expected).sum(axis=1) / lengths / np.linalg.norm(embeddings, axis=1)
    return float(distances.max()), float(cosines.min())


def validation_windows(frames: int, store: MelStore | None = None, spec: MelSpec | None = None) -> NDArray[np.float32]:
    """Return power mels `[n, M, frames]`: music, then silence, noise, a click and a square wave at full scale.

    Args:
        frames: frames of a window.
        store: mel store with music (default: synthesized music).
        spec: specification of the mels (default: that of the paper).
    """
    spec = spec or MelSpec()
    samples = _samples_of_window(frames, spec)
    rng = np.random.default_rng(0)
    click = np.zeros(samples, np.float32)
    click[samples // 2] = 1.0
    square = np.where(np.sin(2 * np.pi * 220 * np.arange(samples) / spec.sample_rate_hz) >= 0, 1, -1)
    sounds = [np.zeros(samples), rng.uniform(-1, 1, samples), click, square]
    extremes = [mel_power(np.asarray(sound, np.float32), spec)[:, :frames] for sound in sounds]
    music = _synthesized_music(frames, spec, rng) if store is None else _music_of_store(frames, store)
    return np.stack([*music, *extremes])


def _samples_of_window(frames: int, spec: MelSpec) -> int:
    """Return the samples of a window, or of the shortest mel if that is longer."""
    return max((frames - 1) * spec.hop_samples, spec.min_samples)


def _music_of_store(frames: int, store: MelStore) -> list[NDArray[np.float32]]:
    """Return the first windows of clips that are spread over the store."""
    clips = [row for row in store.rows.select(state="written") if row.frames >= frames]
    if not clips:
        raise InvalidInput(
            f"no clip of {store.path} has the {frames} frames that a comparison needs; use another --store"
        )
    return [store.window(row.index, 0, frames) for row in clips[:: -(-len(clips) // MAX_STORE_WINDOWS)]]


def _synthesized_music(frames: int, spec: MelSpec, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Return chords of decaying harmonics at several loudnesses."""
    t = np.arange(_samples_of_window(frames, spec)) / spec.sample_rate_hz
    mels = []
    for loudness in np.geomspace(1e-3, 0.9, 12):
        notes_hz = 55 * 2 ** (rng.integers(0, 48, 4) / 12)
        partials = np.stack([np.sin(2 * np.pi * hz * k * t) / k for hz in notes_hz for k in range(1, 6)])
        chord: NDArray[np.float64] = partials.sum(axis=0) * np.exp(-2 * (t % 0.5))
        samples: NDArray[np.float32] = (loudness * chord / np.abs(chord).max()).astype(np.float32)
        mels.append(mel_power(samples, spec)[:, :frames])
    return mels
