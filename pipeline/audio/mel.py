"""Samples -> power mel, as `nnAudio.features.MelSpectrogram` defines it, by FFT instead of its conv1d DFT.

The filter bank is nnAudio's own (`librosa_functions.get_mel`, importable without torch); window, centring and
reflection follow it. A test holds the two together at 1e-4. Frames go through in blocks, so memory does not grow with
length.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.fft
import scipy.signal
import scipy.sparse
from nnAudio.librosa_functions import get_mel
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stores.errors import DecodeError, InvalidInput
from stores.mel_spec import MelSpec

BLOCK_FRAMES = 64
"""512 KiB of windows, so that every step finds them in the core's own cache: three times as fast as 512 frames."""


def mel_power(samples: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """Power mel spectrogram of mono samples.

    Args:
        samples: `[T]` float32 at `spec.sample_rate_hz`, full scale -1 to 1.
        spec: what the mel is.

    Returns:
        `[n_mels, frames]` float32, non-negative, `frames = spec.frames_for(T)`.

    Raises:
        DecodeError: `too_short`, if there are fewer samples than reflection needs; `not_finite`, if power overflows.
    """
    if len(samples) < spec.min_samples:
        raise DecodeError("too_short", f"{len(samples)} samples; a mel needs at least {spec.min_samples}")
    padded = np.pad(samples, spec.n_fft // 2, mode="reflect")
    windows = sliding_window_view(padded, spec.n_fft)[:: spec.hop_samples]
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        blocks = [
            filter_bank(spec) @ _power(windows[i : i + BLOCK_FRAMES] * hann_window(spec)).T
            for i in range(0, len(windows), BLOCK_FRAMES)
        ]
    mel = np.concatenate(blocks, axis=1)
    if not np.isfinite(mel).all():
        raise DecodeError("not_finite", f"samples of up to {np.abs(samples).max():g} overflow; full scale is 1")
    return mel


def _power(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    spectrum = scipy.fft.rfft(windows, axis=1)
    power: NDArray[np.float32] = spectrum.real**2 + spectrum.imag**2
    return power


@cache
def hann_window(spec: MelSpec) -> NDArray[np.float32]:
    """What samples of a frame are multiplied by, `[n_fft]`."""
    window: NDArray[np.float32] = scipy.signal.get_window("hann", spec.n_fft, fftbins=True).astype(np.float32)
    return window


@cache
def filter_bank(spec: MelSpec) -> scipy.sparse.csr_array:
    """The filter bank `[n_mels, n_fft // 2 + 1]`; sparse, since a bin of the FFT is in two filters at most.

    Raises:
        InvalidInput: a filter holds no bin.
    """
    filters: NDArray[np.float32] = get_mel(
        spec.sample_rate_hz, spec.n_fft, spec.n_mels, spec.fmin_hz, spec.fmax_hz
    ).astype(np.float32)
    empty = int((filters.max(axis=1) == 0).sum())
    if empty:
        raise InvalidInput(f"{empty} of {spec.n_mels} mel filters are empty; raise n_fft (now {spec.n_fft})")
    return scipy.sparse.csr_array(filters)
