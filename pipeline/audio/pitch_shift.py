"""Transposition of mono samples in blocks.

A change of the sample rate moves pitch and length, and libav's filter `atempo` restores the length. The filter overlaps
parts of the waveform where they match best. Its parts are a quarter of a second long. On chords, the tones are then
four times as exact as with its usual parts of 46 ms at 44.1 kHz.
"""

from __future__ import annotations

import math
from fractions import Fraction

import av
import numpy as np
import soxr
from av import library_versions
from av.filter import Graph
from numpy.typing import NDArray

from pipeline.audio import resample
from pipeline.audio.resample import Resampler, ResampleStream

STRETCH_RATE_FACTOR = 4
"""Factor by which the rate that `atempo` is given exceeds the true one. Its parts have the power of two of samples that
is at least 1/24 s long: 256 ms of samples at 16 kHz, and 64 ms with a factor of 1.
"""
MIN_PART_RATE_HZ = 24
"""Parts of `atempo` per second of the rate that it is given, before their samples are rounded up."""


def version() -> str:
    """Return the names and versions of the two steps, for the manifest."""
    libavfilter = ".".join(str(number) for number in library_versions["libavfilter"])
    return f"transposed by soxr {soxr.__libsoxr_version__} HQ and atempo of libavfilter {libavfilter}"


def stream(resampler: Resampler, source_rate_hz: int, rate_hz: int, semitones: int) -> ResampleStream:
    """Return a new stream from `source_rate_hz` to `rate_hz` that moves the pitch and keeps the length.

    Args:
        resampler: conversion of the sample rate. Transposition by 0 is this conversion alone.
        source_rate_hz: rate of the samples that are pushed, in Hz.
        rate_hz: rate of the samples that are returned, in Hz.
        semitones: transposition, upward if positive.
    """
    if not semitones:
        return resample.stream(resampler, source_rate_hz, rate_hz)
    return _PitchShift(resampler, source_rate_hz, rate_hz, 2 ** (semitones / 12))


class _PitchShift:
    """A stream that multiplies all frequencies by `ratio`."""

    def __init__(self, resampler: Resampler, source_rate_hz: int, rate_hz: int, ratio: float) -> None:
        self._lengths = Fraction(rate_hz, source_rate_hz)
        self._steps = _rate_steps(resampler, source_rate_hz, rate_hz, ratio)
        self._stretch = _Stretch(rate_hz, 1 / ratio)
        self._pushed_samples, self._returned_samples = 0, 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the output samples `[N]` that the input samples `[T]` complete."""
        self._pushed_samples += len(samples)
        for step in self._steps:
            samples = step.push(samples)
        return self._count(self._stretch.push(samples))

    def finish(self) -> NDArray[np.float32]:
        """Return the rest of the output samples `[N]`. In all they are as many as without a transposition."""
        samples = np.zeros(0, np.float32)
        for step in self._steps:
            samples = np.concatenate([step.push(samples), step.finish()])
        rest = np.concatenate([self._stretch.push(samples), self._stretch.finish()])
        missing = max(0, round(self._pushed_samples * self._lengths) - self._returned_samples)
        return self._count(np.pad(rest[:missing], (0, max(0, missing - len(rest)))))

    def _count(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        self._returned_samples += len(samples)
        return samples


def _rate_steps(resampler: Resampler, source_rate_hz: int, rate_hz: int, ratio: float) -> list[ResampleStream]:
    """Return the resamplers that move the pitch by playing samples `ratio` times as fast, and convert their rate.

    soxr does both in one step. torchaudio's formula is for whole rates, so it only converts the rate.
    """
    if resampler == "soxr":
        return [resample.Soxr(source_rate_hz * ratio, rate_hz)]
    return [
        resample.Soxr(source_rate_hz * ratio, source_rate_hz),
        resample.stream(resampler, source_rate_hz, rate_hz),
    ]


class _Stretch:
    """libav's filter `atempo`, which changes the length of mono samples and keeps their pitch.

    Args:
        rate_hz: sample rate in Hz.
        tempo: length of the samples divided by the length of the result, 0.5 to 2.
    """

    def __init__(self, rate_hz: int, tempo: float) -> None:
        self._rate_hz, self._samples = STRETCH_RATE_FACTOR * rate_hz, 0
        self._graph = Graph()
        source = self._graph.add_abuffer(
            format="flt", sample_rate=self._rate_hz, layout="mono", time_base=Fraction(1, self._rate_hz)
        )
        self._graph.link_nodes(
            source, self._graph.add("atempo", f"{tempo:.9f}"), self._graph.add("abuffersink")
        ).configure()

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the stretched samples `[N]` that the samples `[T]` complete."""
        if not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="flt", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = self._rate_hz, Fraction(1, self._rate_hz), self._samples
        self._samples += len(samples)
        self._graph.push(frame)
        return self._pull()

    def finish(self) -> NDArray[np.float32]:
        """Return the rest of the samples `[N]`, as if silence of two parts followed, which the filter holds back."""
        part_samples = 1 << math.ceil(math.log2(self._rate_hz / MIN_PART_RATE_HZ))
        silence = self.push(np.zeros(2 * part_samples, np.float32))
        self._graph.push(None)
        return np.concatenate([silence, self._pull()])

    def _pull(self) -> NDArray[np.float32]:
        frames = [np.zeros(0, np.float32)]
        while True:
            try:
                frames.append(self._graph.pull().to_ndarray()[0])
            except (av.BlockingIOError, av.EOFError):
                return np.concatenate(frames)
