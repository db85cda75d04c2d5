"""Levels of a recording: whether its samples have the expected scale, and whether its channels cancel in the downmix.

Levels are measured in spans of a recording, one for each clip, while blocks pass by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stores.errors import DecodeError

SILENT_PEAK = 2.0**-14
"""Largest sample of silence: two steps of 16 bits, which dither and rounding leave in silence."""
OUT_OF_SCALE_RMS = math.sqrt(2)
"""RMS above which samples are out of scale. No signal within full scale has an RMS over 1, and the overshoot of codecs
adds less than 3 dB.
"""
OVERSHOOT_PEAK = math.sqrt(2)
"""Peak up to which decoded samples may exceed full scale: coding and resampling of clipped music overshoot by 3 dB."""
CLIPPED_SHARE, CLIPPED_PEAK = 1e-3, 4.0
"""Share of samples beyond full scale that is reported, which is 1 ms in each second, and the peak that always is."""
LOSS_DB, CANCELLED_LOSS_DB = 15.0, 60.0
"""Loss of power in the downmix that is reported, and the loss that leaves only noise of rounding and coding.

The mean of N channels without correlation has 10 log10(N) dB less power than the channels: 3 dB of 2 and 9 dB of 8.
"""
CANCELLED_SHARE = 0.01
"""Share of samples in blocks that lose `LOSS_DB` that is reported, though the recording as a whole loses less."""
PART_SAMPLES = 1 << 16
"""Samples of each channel of such a block, which are 1.5 s at 44.1 kHz."""
_INTEGER_SCALES = (2.0**7, 2.0**15, 2.0**23, 2.0**31)


@dataclass
class SpanLevels:
    """Levels of the channels in one span of a recording, at the sample rate of the file."""

    samples: int = 0
    """Number of samples of all channels."""
    channel_power: float = 0.0
    """Sum of the squares of all samples, divided by the number of channels."""
    mono_power: float = 0.0
    """Sum of the squares of the means of the channels."""
    channels: int = 1
    """Largest number of channels."""
    cancelled_samples: int = 0
    """Number of samples in blocks whose downmix loses at least `LOSS_DB`."""
    peak: float = 0.0
    """Largest absolute sample, or 0 if it was not measured."""
    over_samples: int = 0
    """Number of samples beyond full scale, or 0 if it was not measured."""

    def add(self, block: NDArray[np.float32], mono: NDArray[np.float32], with_peak: bool) -> None:
        """Add samples `[T, channels]` and their means `[T]`."""
        channels = block.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            mono_power = float(np.dot(mono, mono))
            pieces = _contiguous(block)
            power = sum(float(np.dot(piece, piece)) for piece in pieces) if channels > 1 else mono_power
        channel_power = power / channels
        is_loud = channel_power > SILENT_PEAK**2 * len(block) / channels
        if is_loud and channel_power >= 10 ** (LOSS_DB / 10) * mono_power:
            self.cancelled_samples += block.size
        self.channel_power += channel_power
        self.mono_power += mono_power
        self.samples += block.size
        self.channels = max(self.channels, channels)
        if with_peak:
            for piece in pieces:
                self._add_peak(piece)

    def _add_peak(self, samples: NDArray[np.float32]) -> None:
        peak = max(float(samples.max()), -float(samples.min()))
        self.peak = max(self.peak, peak)
        if peak > 1:
            self.over_samples += int(np.count_nonzero(np.abs(samples) > 1))

    @property
    def rms(self) -> float:
        """RMS of all channels, where 1 is full scale."""
        return math.sqrt(self.channel_power * self.channels / self.samples) if self.samples else 0.0

    @property
    def loss_db(self) -> float:
        """Power that the downmix loses, in dB."""
        if not self.channel_power > 0:
            return 0.0
        return 10 * math.log10(self.channel_power / self.mono_power) if self.mono_power > 0 else math.inf


def _contiguous(block: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
    """Return the samples of a block `[T, channels]` in arrays without gaps: its channels, or all in one array."""
    is_planar = block.strides[0] == block.itemsize
    return list(block.T) if is_planar else [block.ravel()]


class LevelMeter:
    """The levels of a recording in several spans.

    Args:
        spans_seconds: start and end of each span in seconds. An end of infinity is the end of the recording.
    """

    def __init__(self, spans_seconds: Sequence[tuple[float, float]]) -> None:
        self._spans_seconds = spans_seconds
        self._seconds = 0.0
        self.levels = [SpanLevels() for _ in spans_seconds]

    def add(self, block: NDArray[np.float32], mono: NDArray[np.float32], rate_hz: int, with_peak: bool) -> None:
        """Add the next samples `[T, channels]` of the recording, and their means `[T]`.

        Args:
            block: the samples of all channels.
            mono: the means of the channels.
            rate_hz: sample rate in Hz.
            with_peak: measure the peak, which takes a second pass over the samples.
        """
        for (start, stop), levels in zip(self._spans_seconds, self.levels, strict=True):
            first = max(0, round((start - self._seconds) * rate_hz))
            last = len(block) if stop == math.inf else min(len(block), round((stop - self._seconds) * rate_hz))
            for begin in range(first, last, PART_SAMPLES):
                end = min(begin + PART_SAMPLES, last)
                levels.add(block[begin:end], mono[begin:end], with_peak)
        self._seconds += len(block) / rate_hz


@dataclass
class MonoLevels:
    """Levels of mono samples at the sample rate of the mel."""

    samples: int = 0
    """Number of samples."""
    peak: float = 0.0
    """Largest absolute sample."""
    over_samples: int = 0
    """Number of samples over `OVERSHOOT_PEAK`."""
    not_finite: int = 0
    """Number of samples that are NaN or infinite."""

    def add(self, samples: NDArray[np.float32]) -> None:
        """Add the next samples `[T]`."""
        if not len(samples):
            return
        peak = max(float(samples.max()), -float(samples.min()))  # NaN if any sample is
        self.samples += len(samples)
        if not math.isfinite(peak):
            self.not_finite += int(np.count_nonzero(~np.isfinite(samples)))
        else:
            self.peak = max(self.peak, peak)
        if not peak <= OVERSHOOT_PEAK:
            self.over_samples += int(np.count_nonzero(np.abs(samples) > OVERSHOOT_PEAK))


@dataclass(frozen=True)
class Verdict:
    """The verdict on the levels of a clip. A clip with a reason is rejected, and one with a warning is stored."""

    reason: str = ""
    """Reason for a rejection, one of `REJECTION_REASONS`, or empty."""
    warnings: tuple[tuple[str, str], ...] = ()
    """Name and text of each warning."""
    detail: str = ""
    """Numbers that led to the rejection."""


def require_in_scale(samples: NDArray[np.float32]) -> None:
    """Check that mono samples `[T]` have the expected scale, by the rule of an ingest.

    Raises:
        DecodeError: `out_of_scale`, with the factor to divide by, or `not_finite`.
    """
    source, mono = SpanLevels(), MonoLevels()
    source.add(samples[:, None], samples, with_peak=True)
    mono.add(samples)
    verdict = judge(source, mono, stores_floats=True)
    if verdict.reason in ("not_finite", "out_of_scale"):
        raise DecodeError(verdict.reason, verdict.detail)


def judge(source: SpanLevels, mono: MonoLevels, stores_floats: bool) -> Verdict:
    """Return what the levels of a clip say of it.

    Args:
        source: levels of its channels.
        mono: levels of its mono samples.
        stores_floats: whether the file holds samples in floating point, which are counted from full scale on.
    """
    peak = max(source.peak, mono.peak)
    if mono.not_finite:
        return Verdict("not_finite", detail=f"{mono.not_finite} samples are NaN or infinite")
    if source.rms > OUT_OF_SCALE_RMS:
        return Verdict("out_of_scale", detail=_scale_text(source.rms, peak))
    is_silent = mono.peak <= SILENT_PEAK
    if source.rms > SILENT_PEAK and source.loss_db >= (LOSS_DB if is_silent else CANCELLED_LOSS_DB):
        return Verdict("channels_cancel", detail=_loss_text(source))
    if is_silent:
        return Verdict("silent", detail=f"the largest sample is {mono.peak:.1e} of full scale")
    over, samples = (source.over_samples, source.samples) if stores_floats else (mono.over_samples, mono.samples)
    warnings = []
    if over and (over >= CLIPPED_SHARE * samples or peak >= CLIPPED_PEAK):
        share = f"{100 * over / samples:.3g} % of the samples"
        warnings.append(("clipped", f"{share} are beyond full scale, which is 1, and the largest is {peak:.4g}"))
    if source.rms > SILENT_PEAK and source.loss_db >= LOSS_DB:
        warnings.append(("downmix_loss", _loss_text(source)))
    elif source.cancelled_samples and source.cancelled_samples >= CANCELLED_SHARE * source.samples:
        share = f"{100 * source.cancelled_samples / source.samples:.0f} % of the samples"
        warnings.append(
            ("downmix_loss", f"the channels cancel in about {share}: their mean loses at least {LOSS_DB:g} dB")
        )
    return Verdict(warnings=tuple(warnings))


def _loss_text(source: SpanLevels) -> str:
    loss = "everything" if source.loss_db == math.inf else f"{source.loss_db:.1f} dB"
    return f"the channels cancel: their mean loses {loss}, and that of channels without correlation loses " + (
        f"{10 * math.log10(source.channels):.1f} dB; one channel may have inverted polarity"
    )


def _scale_text(rms: float, peak: float) -> str:
    scale = next((scale for scale in _INTEGER_SCALES if peak <= scale), 0.0)
    if peak <= 16:
        scale = 2.0 ** math.ceil(math.log2(peak))
    advice = f"divide the samples by {scale:.0f}" if scale else "this is no common scale, so check the file"
    return f"the RMS is {rms:.3g} and the largest sample is {peak:.6g}, but full scale is 1; {advice}"
