"""Power mel spectrogram as `nnAudio.features.MelSpectrogram` defines it, by an FFT instead of its DFT as conv1d.

The filter bank is that of nnAudio (`librosa_functions.get_mel`, importable without torch). Window, centering and
reflection are the same as in nnAudio. A test requires agreement within 1e-4. Frames are computed in blocks, so the
intermediate memory does not grow with the length, and a recording need not be in memory as a whole.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import scipy.fft
import scipy.sparse
from nnAudio.librosa_functions import get_mel, mel_frequencies
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from stores.errors import DecodeError, InvalidInput
from stores.mel_spec import MelSpec

BLOCK_FRAMES = 64
"""Frames in a block: 512 KiB of windows, which stay in the cache of the core. It is three times as fast as 512."""


def mel_power(samples: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """Return the power mel spectrogram of mono samples.

    Args:
        samples: `[T]` float32 at `spec.sample_rate_hz`, full scale -1 to 1.
        spec: the mel specification.

    Returns:
        `[n_mels, frames]` float32, non-negative, `frames = spec.frames_for(T)`.

    Raises:
        DecodeError: `too_short` if there are fewer samples than reflection needs, `not_finite` if the power overflows.
    """
    stream = MelStream(spec)
    return np.concatenate([*stream.push(samples), *stream.finish()], axis=1)


class MelStream:
    """The mel of a recording whose samples arrive in blocks of any length, bit for bit that of the whole recording.

    Frames are computed `BLOCK_FRAMES` at a time, counted from the first one, however the samples arrive. So every block
    has the same windows as in one pass. The stream holds the samples of one block of frames and one window.

    Args:
        spec: the mel specification.
    """

    def __init__(self, spec: MelSpec) -> None:
        self._spec = spec
        self._edge = spec.n_fft // 2
        self._samples = 0
        self._tail = np.zeros(0, np.float32)  # the last samples, which are reflected at the end
        self._pending = np.zeros(0, np.float32)  # samples from the start of the next frame on
        self._gap = 0  # samples before the next frame, which belong to no frame if the hop is longer than the window

    def push(self, samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the mels `[n_mels, BLOCK_FRAMES]` of the blocks of frames that the next samples `[T]` complete.

        Raises:
            DecodeError: `not_finite` if the power overflows.
        """
        was_started = self._samples > self._edge
        self._samples += len(samples)
        self._tail = np.concatenate([self._tail, samples[-self._edge - 1 :]])[-self._edge - 1 :]
        self._pending = np.concatenate([self._pending, samples]) if len(self._pending) else samples
        if self._samples <= self._edge:
            return []
        if not was_started:
            self._pending = np.concatenate([self._pending[self._edge : 0 : -1], self._pending])
        return self._drain()

    def finish(self) -> list[NDArray[np.float32]]:
        """Return the mels `[n_mels, frames]` of the last frames, whose windows reach beyond the end.

        Raises:
            DecodeError: `too_short` if there were fewer samples than reflection needs, `not_finite` as above.
        """
        if self._samples <= self._edge:
            raise DecodeError("too_short", f"{self._samples} samples; a mel needs at least {self._spec.min_samples}")
        self._pending = np.concatenate([self._pending, self._tail[-2::-1]])
        blocks = self._drain()
        rest = self._pending[self._gap :]
        return [*blocks, self._mel(rest)] if len(rest) >= self._spec.n_fft else blocks

    def _drain(self) -> list[NDArray[np.float32]]:
        hop = self._spec.hop_samples
        block_samples = (BLOCK_FRAMES - 1) * hop + self._spec.n_fft
        starts = range(self._gap, len(self._pending) - block_samples + 1, BLOCK_FRAMES * hop)
        blocks = [self._mel(self._pending[start : start + block_samples]) for start in starts]
        start = self._gap + len(blocks) * BLOCK_FRAMES * hop
        self._gap = max(0, start - len(self._pending))
        self._pending = self._pending[start:]
        return blocks

    def _mel(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        spec = self._spec
        frames = 1 + (len(samples) - spec.n_fft) // spec.hop_samples
        strides = (spec.hop_samples * samples.strides[0], samples.strides[0])
        windows = as_strided(samples, (frames, spec.n_fft), strides, writeable=False)
        with np.errstate(over="ignore", invalid="ignore"):  # rejected below
            mel: NDArray[np.float32] = filter_bank(spec) @ _power(windows * hann_window(spec))
        if not np.isfinite(mel).all():
            raise DecodeError("not_finite", f"samples of up to {np.abs(samples).max():g} overflow; full scale is 1")
        return mel


def _power(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the power `[bins, frames]` of windows `[frames, n_fft]`, in the order that the filter bank reads."""
    spectrum: NDArray[np.float32] = scipy.fft.rfft(windows, axis=1).view(np.float32)  # real and imaginary in turn
    np.multiply(spectrum, spectrum, out=spectrum)
    power = np.empty((spectrum.shape[1] // 2, len(spectrum)), np.float32)
    np.add(spectrum[:, ::2].T, spectrum[:, 1::2].T, out=power)
    return power


@cache
def hann_window(spec: MelSpec) -> NDArray[np.float32]:
    """Return the periodic Hann window by which the samples of a frame are multiplied, `[n_fft]`.

    It is bit for bit that of `scipy.signal.get_window("hann", n_fft)`, whose import takes 1.4 s of processor time.
    """
    return hann(spec.n_fft)


def hann(length: int) -> NDArray[np.float32]:
    """Return a periodic Hann window `[length]`."""
    window: NDArray[np.float32] = (0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, length + 1)))[:-1].astype(np.float32)
    return window


@cache
def filter_bank(spec: MelSpec) -> scipy.sparse.csr_array:
    """Return the filter bank `[n_mels, n_fft // 2 + 1]`, sparse because an FFT bin is in at most two filters.

    Raises:
        InvalidInput: a filter contains no FFT bin.
    """
    with warnings.catch_warnings(action="ignore"):  # of empty filters, which are an error below
        bank = get_mel(spec.sample_rate_hz, spec.n_fft, spec.n_mels, spec.fmin_hz, spec.fmax_hz)
    filters: NDArray[np.float32] = bank.astype(np.float32)
    empty = int((filters.max(axis=1) == 0).sum())
    if empty:
        raise InvalidInput(
            f"{empty} of {spec.n_mels} mel filters are empty; raise n_fft (now {spec.n_fft}, --n-fft-samples) or lower "
            f"n_mels (now {spec.n_mels}, --n-mels)"
        )
    return scipy.sparse.csr_array(filters)


def filter_edges_hz(spec: MelSpec) -> NDArray[np.float64]:
    """Return the edges of the filters in Hz, `[edges]`: filter i reaches from edge i to edge i + 2."""
    edges: NDArray[np.float64] = mel_frequencies(spec.n_mels + 2, spec.fmin_hz, spec.fmax_hz)
    return edges


def peak_decades(spec: MelSpec) -> float:
    """Return log10 of the largest power in a mel bin: that of a square wave of full scale, whose first partial is 4/pi.

    The Hann window spreads a tone over three FFT bins, with a quarter of its power in each neighbor.
    """
    filters = np.pad(filter_bank(spec).toarray().astype(np.float64), ((0, 0), (1, 1)))
    weights = filters[:, 1:-1] + (filters[:, :-2] + filters[:, 2:]) / 4
    return float(np.log10(weights.max() * (spec.n_fft / np.pi) ** 2))
