"""Chroma: the energy of the twelve pitch classes, a handcrafted baseline for keys.

This is a plain chromagram (Fujishima 1999) with the chroma filter bank of nnAudio. The FFT covers 512 ms, which
separates semitones down to 55 Hz. Each column is normalized to its maximum, so that loud passages do not dominate.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.fft
from nnAudio.librosa_functions import chroma as chroma_filters
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.audio.mel import hann

N_FFT = 8_192
HOP_SAMPLES = 2_048


def mean_chroma(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Return the mean chroma of mono samples, from pitch class C upward.

    Args:
        samples: `[T]` float32. Fewer samples than one window (512 ms at 16 kHz) are padded with zeros.
        rate_hz: sample rate in Hz.

    Returns:
        `[12]` float32 from 0 to 1. Silence gives zeros.
    """
    padded = np.pad(samples, (0, max(0, N_FFT - len(samples))))
    windows = sliding_window_view(padded, N_FFT)[::HOP_SAMPLES]
    magnitude = np.abs(scipy.fft.rfft(windows * hann(N_FFT), axis=1))
    chroma = magnitude**2 @ _filters(rate_hz).T
    peak = chroma.max(axis=1, keepdims=True)
    mean: NDArray[np.float32] = (chroma / np.where(peak > 0, peak, 1)).mean(axis=0)
    return mean


@cache
def _filters(rate_hz: int) -> NDArray[np.float32]:
    filters: NDArray[np.float32] = chroma_filters(rate_hz, N_FFT).astype(np.float32)
    return filters
