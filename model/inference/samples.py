"""Samples from Python code as mono float32 at the rate of the mel. Nothing here imports torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import resample as resampling
from stores.errors import InvalidInput
from stores.mel_flags import DEFAULT_RESAMPLER, ResamplerName

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 1_000_000
"""Sample rates that are accepted. A rate in kHz would be converted to a thousand times as many samples."""


def require_rate(rate_hz: object) -> int:
    """Return the sample rate of samples.

    Raises:
        InvalidInput: it is not a whole number of hertz from 1,000 to 1,000,000.
    """
    is_number = isinstance(rate_hz, int | float | np.integer | np.floating) and not isinstance(rate_hz, bool)
    if not is_number or not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ or rate_hz != int(rate_hz):  # type: ignore[call-overload, operator]
        raise InvalidInput(
            f"samples need a positive sample_rate_hz, a whole number of hertz from {MIN_RATE_HZ} to {MAX_RATE_HZ} (got "
            f"{rate_hz!r}), for example embed(samples, sample_rate_hz=44100)"
        )
    return int(rate_hz)  # type: ignore[call-overload, no-any-return]


def to_mono(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return mono float32 samples `[T]`: the mean of the channels of `[T, channels]`, integers divided by full scale.

    Raises:
        InvalidInput: the samples have another shape or type, or more channels than samples, as `[channels, T]` has.
    """
    if samples.ndim not in (1, 2) or not samples.size or (samples.ndim == 2 and samples.shape[1] > samples.shape[0]):
        raise InvalidInput(
            f"samples must have the shape [T] or [T, channels] (got {list(samples.shape)}); transpose [channels, T]"
        )
    if not (np.issubdtype(samples.dtype, np.floating) or np.issubdtype(samples.dtype, np.signedinteger)):
        raise InvalidInput(f"samples must be floats of full scale 1 or signed integers (got {samples.dtype})")
    scale = -float(np.iinfo(samples.dtype).min) if np.issubdtype(samples.dtype, np.integer) else 1.0
    mixed = samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float64)
    return (mixed / scale).astype(np.float32)


def resample(
    samples: NDArray[np.float32], from_hz: int, to_hz: int, resampler: ResamplerName = DEFAULT_RESAMPLER
) -> NDArray[np.float32]:
    """Return mono samples `[T]` at another rate, with a resampler that is also used for files."""
    stream = resampling.stream(resampler, from_hz, to_hz)
    return np.concatenate([stream.push(samples), stream.finish()])
