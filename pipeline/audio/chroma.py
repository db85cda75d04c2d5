"""Samples -> energy of the twelve pitch classes: the handcrafted baseline for keys.

A plain chromagram (Fujishima 1999) on an FFT of 512 ms, long enough to tell semitones apart down to 55 Hz, with
nnAudio's chroma filter bank. Columns are normalised to their maximum, so loud passages do not drown the rest.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.fft
import scipy.signal
from nnAudio.librosa_functions import chroma as chroma_filters
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

N_FFT = 8_192
HOP_SAMPLES = 2_048


def mean_chroma(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Mean chroma of mono samples, pitch class C first.

    Args:
        samples: `[T]` float32; shorter than one window (512 ms at 16 kHz) it is padded with zeros.
        rate_hz: their rate.

    Returns:
        `[12]` float32 in 0 to 1; zeros for silence.
    """
    padded = np.pad(samples, (0, max(0, N_FFT - len(samples))))
    windows = sliding_window_view(padded, N_FFT)[::HOP_SAMPLES]
    magnitude = np.abs(scipy.fft.rfft(windows * scipy.signal.get_window("hann", N_FFT).astype(np.float32), axis=1))
    chroma = magnitude**2 @ _filters(rate_hz).T
    peak = chroma.max(axis=1, keepdims=True)
    mean: NDArray[np.float32] = (chroma / np.where(peak > 0, peak, 1)).mean(axis=0)
    return mean


@cache
def _filters(rate_hz: int) -> NDArray[np.float32]:
    filters: NDArray[np.float32] = chroma_filters(rate_hz, N_FFT).astype(np.float32)
    return filters
