"""A held tone of each pitch and program, made once per process and cut to length for every note: 30 ms and 0.9 MB each.

A note is the tone's beginning plus its release, so a clip of a hundred notes is a hundred additions.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import signal

from pipeline.demo_corpus.recipe import CLIP_SECONDS, SAMPLE_RATE_HZ
from pipeline.demo_corpus.soundfont import Layer, Soundfont

VELOCITY = 80
"""One for all notes, so that dynamics carry no label."""
_OVERSAMPLING = 2  # recordings are at 44,100 Hz and more, so reading them at 22,050 Hz would fold their treble down
_TONES_KEPT = 128  # 113 MB; a piece and its transpositions use 30 to 60
_RELEASE_SECONDS = (0.03, 0.5)  # shorter clicks, longer blurs one clip's end only

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tone:
    """A key held for a whole clip."""

    samples: Samples
    """float32 [T] at 22,050 Hz."""
    release: Samples
    """float32: factors from 1 to 0 for what follows when the key is let go."""

    def note(self, length_samples: int) -> Samples:
        """The tone held for `length_samples`, then let go."""
        sounding = self.samples[: length_samples + len(self.release)].copy()
        tail = sounding[length_samples:]
        tail *= self.release[: len(tail)]
        return sounding


@functools.lru_cache(maxsize=_TONES_KEPT)
def tone(soundfont: Path, program: int, pitch: int) -> Tone:
    """The tone of a MIDI pitch in a General MIDI program.

    Raises:
        InvalidInput: if the soundfont has no such program.
    """
    layers = _read(soundfont).layers(program, pitch, VELOCITY)
    held = np.sum([_held(layer) for layer in layers], axis=0)
    samples = signal.resample_poly(held, 1, _OVERSAMPLING)
    shortest, longest = _RELEASE_SECONDS
    release_seconds = min(longest, max(shortest, *(layer.release_seconds for layer in layers)))
    # 100 dB in release_seconds by the specification; the last factor is 0, so that a capped release does not click
    steps = np.linspace(0, 1, round(release_seconds * SAMPLE_RATE_HZ))
    return Tone(samples.astype(np.float32), (10 ** (-5 * steps) * (1 - steps)).astype(np.float32))


@functools.cache
def _read(path: Path) -> Soundfont:
    return Soundfont(path)


def _held(layer: Layer) -> npt.NDArray[np.float64]:
    """One layer at twice the sample rate: read at its pitch, looped, filtered, under its envelope."""
    rate_hz = SAMPLE_RATE_HZ * _OVERSAMPLING
    seconds = np.arange(CLIP_SECONDS * rate_hz) / rate_hz
    sound = _played(layer, seconds * layer.samples_per_second)
    if layer.cutoff_hz < 0.4 * rate_hz:
        sound = signal.sosfilt(signal.butter(2, layer.cutoff_hz, fs=rate_hz, output="sos"), sound)
    return np.asarray(sound * _envelope(layer, seconds) * layer.gain, dtype=np.float64)


def _played(layer: Layer, positions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The recording at fractional positions, linear between its samples; silent after its end unless it loops."""
    wave = np.append(layer.wave, np.float32(0))
    if layer.loop is None:
        return np.asarray(np.interp(positions, np.arange(len(wave)), wave, right=0.0), dtype=np.float64)
    start, end = layer.loop
    wave[end] = wave[start]  # what follows the loop's last sample is its first
    looped = np.where(positions < end, positions, start + (positions - start) % (end - start))
    return np.asarray(np.interp(looped, np.arange(end + 1), wave[: end + 1]), dtype=np.float64)


def _envelope(layer: Layer, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    attack = np.minimum(1.0, seconds / layer.attack_seconds)
    decaying = np.maximum(0.0, seconds - layer.attack_seconds - layer.hold_seconds)
    level_db = np.maximum(layer.sustain_db, -100 * decaying / layer.decay_seconds)
    return np.asarray(attack * 10 ** (level_db / 20), dtype=np.float64)
