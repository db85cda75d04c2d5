"""The formula of `torchaudio.transforms.Resample` with its defaults, in float64, as the reference of our resampler."""

from __future__ import annotations

import math

import numpy as np


def resample(samples, source_rate_hz, rate_hz):
    """Return the result of torchaudio's formula in float64: a sinc in a Hann window with six zero crossings a side.

    torchaudio divides the number of an output by the number of outputs in float32, and all else is in float64.
    """
    divisor = math.gcd(source_rate_hz, rate_hz)
    orig, new = source_rate_hz // divisor, rate_hz // divisor
    if orig == new:
        return samples
    base = min(orig, new) * 0.99
    width = math.ceil(6 * orig / base)
    position = np.arange(0, -new, -1, dtype=np.float32)[:, None] / np.float32(new)
    time = position.astype(np.float64) + np.arange(-width, width + orig)[None] / orig
    time = np.clip(time * base, -6, 6)
    kernel = np.sinc(time) * np.cos(time * np.pi / 12) ** 2 * base / orig
    padded = np.pad(samples.astype(np.float64), (width, width + orig))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * width + orig)[::orig]
    return (windows @ kernel.T).reshape(-1)[: math.ceil(new * len(samples) / orig)]
