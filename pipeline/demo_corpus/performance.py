"""Varied performances of a piece: instruments, soundfont, tempo, loudness, room and noise, drawn by seed.

With `--programs any`, every clip of a piece has a performance of its own, and the clips stay one group. An encoder that
is trained on such clips cannot recognize a piece by its timbre, and an encoder that is tested on them is tested on
timbres that it may never have heard.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.demo_corpus.rendering_settings import MAX_TEMPO, SAMPLE_RATE_HZ

MIN_TEMPO = 0.8
"""Slowest tempo, as a factor on the tempo of plain clips. The fastest one is `MAX_TEMPO`."""
VELOCITIES = (50, 110)
"""MIDI velocities of the softest and of the loudest part."""
PEAK_DECIBELS = (-20.0, -1.0)
"""Peak levels of the quietest and of the loudest clip."""
REVERBERATION_SECONDS = (0.2, 1.8)
"""Reverberation times of the smallest and of the largest room."""
REVERBERATION_SHARE = (0.05, 0.4)
"""Energy of the reverberation of the driest and of the wettest room, as a share of the direct sound's."""
NOISE_DECIBELS = (-60.0, -25.0)
"""Levels of the faintest and of the loudest noise, below the level of the music."""


@dataclass(frozen=True)
class Performance:
    """The way in which a clip is played and recorded."""

    soundfont: int
    """Position of the soundfont in the list of soundfonts."""
    programs: tuple[int, ...]
    """General MIDI program of each part."""
    velocities: tuple[int, ...]
    """MIDI velocity of each part."""
    tempo: float
    """Factor on the tempo of plain clips."""
    reverberation_seconds: float
    """Time in which the room's sound falls by 60 dB, or 0 for no room."""
    reverberation_share: float
    """Energy of the reverberation as a share of that of the direct sound."""
    noise_decibels: float | None
    """Level of the noise relative to that of the music, or None for no noise."""
    peak_decibels: float
    """Peak level of the clip, relative to full scale."""
    noise_seed: int
    """Seed of the noise and of the room."""


def draw(chance: random.Random, parts: int, programs: Sequence[int], soundfonts: int) -> Performance:
    """Draw a performance; half of the clips have a room, and half have noise.

    Args:
        chance: random numbers for this clip alone.
        parts: number of parts of the piece.
        programs: General MIDI programs to choose from.
        soundfonts: number of soundfonts.
    """
    return Performance(
        soundfont=chance.randrange(soundfonts),
        programs=tuple(chance.choice(programs) for _ in range(parts)),
        velocities=tuple(chance.randint(*VELOCITIES) for _ in range(parts)),
        tempo=chance.uniform(MIN_TEMPO, MAX_TEMPO),
        reverberation_seconds=chance.uniform(*REVERBERATION_SECONDS) if chance.random() < 0.5 else 0.0,
        reverberation_share=chance.uniform(*REVERBERATION_SHARE),
        noise_decibels=chance.uniform(*NOISE_DECIBELS) if chance.random() < 0.5 else None,
        peak_decibels=chance.uniform(*PEAK_DECIBELS),
        noise_seed=chance.randrange(2**32),
    )


def record(samples: NDArray[np.float32], performance: Performance) -> NDArray[np.float32]:
    """Return mono samples `[T]` as they sound in the room, with its noise and at its level."""
    numbers = np.random.default_rng(performance.noise_seed)
    sound = samples.astype(np.float64)
    if performance.reverberation_seconds:
        sound = _in_room(sound, performance.reverberation_seconds, performance.reverberation_share, numbers)
    if performance.noise_decibels is not None:
        level = np.sqrt(np.mean(sound**2)) * 10 ** (performance.noise_decibels / 20)
        sound = sound + level * _pink_noise(len(sound), numbers)
    peak = np.abs(sound).max() or 1.0
    return (sound * (10 ** (performance.peak_decibels / 20) / peak)).astype(np.float32)


def _in_room(
    sound: NDArray[np.float64], seconds: float, share: float, numbers: np.random.Generator
) -> NDArray[np.float64]:
    """Add reverberation: noise that falls by 60 dB in `seconds`, convolved with the sound."""
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = numbers.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    response = np.concatenate([[1.0], tail * np.sqrt(share / np.sum(tail**2))])
    length = len(sound) + len(response)
    return np.fft.irfft(np.fft.rfft(sound, length) * np.fft.rfft(response, length), length)[: len(sound)]


def _pink_noise(length: int, numbers: np.random.Generator) -> NDArray[np.float64]:
    """Return noise `[length]` of mean square 1, whose power falls by 3 dB an octave."""
    spectrum = np.fft.rfft(numbers.standard_normal(length))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))
