"""Resampling of mono samples in blocks: by soxr HQ, or by the formula of torchaudio.

The second one equals `torchaudio.transforms.Resample` with its defaults (`sinc_interp_hann`, `lowpass_filter_width` 6,
`rolloff` 0.99) to 1e-5, without torch. Models that were trained on it need it to see what they were trained on.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
import soxr
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from stores.errors import DecodeError

Resampler = Literal["soxr", "torchaudio"]
PIECE_SAMPLES = 1 << 17
"""Samples that soxr gets at a time. It takes 2.1 ms for 441,000 samples at once, and 1.7 ms in such pieces."""
LOWPASS_FILTER_WIDTH, ROLLOFF = 6, 0.99
"""Zero crossings of the sinc on each side, and the cutoff as a share of the lower Nyquist frequency."""
OUTPUTS_PER_PRODUCT = 16
"""Outputs that are computed together. With 1, resampling takes eight times as long."""
MIN_GROUP_SAMPLES, MAX_GROUP_OUTPUTS = 192, 8_192
"""Inputs of a group at least, so that BLAS needs no copy of overlapping inputs, and outputs of such a group at most."""
MAX_WEIGHTS, CACHED_WEIGHTS = 1 << 24, 4
"""Weights for a pair of rates (an absurd rate in a header needs billions), and pairs whose weights are kept."""


class ResampleStream(Protocol):
    """A resampler of one recording."""

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the samples `[T']` that the next samples `[T]` complete."""

    def finish(self) -> NDArray[np.float32]:
        """Return the last samples `[T]`."""


def version(resampler: Resampler) -> str:
    """Return the name of a resampler with its version and settings, for the digest of a store."""
    if resampler == "soxr":
        return f"soxr {soxr.__libsoxr_version__} HQ"
    return f"torchaudio sinc_interp_hann, lowpass_filter_width {LOWPASS_FILTER_WIDTH}, rolloff {ROLLOFF}"


def stream(resampler: Resampler, source_rate_hz: int, rate_hz: int) -> ResampleStream:
    """Return a new stream from `source_rate_hz` to `rate_hz`. Equal rates leave the samples unchanged."""
    if source_rate_hz == rate_hz:
        return _Unchanged()
    return (Soxr if resampler == "soxr" else _Sinc)(source_rate_hz, rate_hz)


class _Unchanged:
    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the samples `[T]` as they are."""
        return samples

    def finish(self) -> NDArray[np.float32]:
        """Return nothing, because no sample is held back."""
        return np.zeros(0, np.float32)


class Soxr:
    """soxr HQ. Its rates need not be whole numbers.

    Args:
        source_rate_hz: rate of the samples that are pushed, in Hz.
        rate_hz: rate of the samples that are returned, in Hz.
    """

    def __init__(self, source_rate_hz: float, rate_hz: float) -> None:
        self._stream = soxr.ResampleStream(source_rate_hz, rate_hz, 1, dtype="float32", quality="HQ")

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the output samples `[N]` that the input samples `[T]` complete."""
        pieces = range(0, max(1, len(samples)), PIECE_SAMPLES)
        resampled = [self._stream.resample_chunk(samples[start : start + PIECE_SAMPLES]) for start in pieces]
        return resampled[0] if len(resampled) == 1 else np.concatenate(resampled)

    def finish(self) -> NDArray[np.float32]:
        """Return the rest of the output samples `[N]`."""
        resampled: NDArray[np.float32] = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        return resampled


class _Sinc:
    """The windowed sinc of torchaudio. `orig` input samples give `new` output samples, after removal of common factors.

    Output `j` of a group is a weighted sum of the inputs within six zero crossings, and its weights are the same in all
    groups. So a few neighboring outputs of all groups are one product of a matrix of overlapping inputs with weights.
    """

    def __init__(self, source_rate_hz: int, rate_hz: int) -> None:
        divisor = math.gcd(source_rate_hz, rate_hz)
        orig, new = source_rate_hz // divisor, rate_hz // divisor
        factor = max(1, min(-(-MIN_GROUP_SAMPLES // orig), MAX_GROUP_OUTPUTS // new))  # a common factor changes nothing
        self._orig, self._new = factor * orig, factor * new
        self._width = _width(orig, new)
        if (2 * self._width + OUTPUTS_PER_PRODUCT * orig // new) * self._new > MAX_WEIGHTS:
            raise DecodeError("unreadable", f"torchaudio's formula needs too many weights for {source_rate_hz} Hz")
        self._weights = _weights(orig, new, factor)
        self._pending = np.zeros(self._width, np.float32)  # torchaudio pads with zeros
        self._pushed, self._returned = 0, 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the output samples `[N]` that the input samples `[T]` complete."""
        self._pushed += len(samples)
        self._pending = np.concatenate([self._pending, samples])
        return self._drain()

    def finish(self) -> NDArray[np.float32]:
        """Return the rest of the output samples `[N]`, as if silence followed."""
        remaining = -(-self._new * self._pushed // self._orig) - self._returned
        self._pending = np.concatenate([self._pending, np.zeros(self._width + self._orig, np.float32)])
        return self._drain()[:remaining]

    def _drain(self) -> NDArray[np.float32]:
        """Return the outputs of all groups whose inputs are complete, and keep the inputs of the next groups."""
        groups = max(0, (len(self._pending) - 2 * self._width) // self._orig)
        result = np.empty((groups, self._new), np.float32)
        for outputs, first, weights in self._weights if groups else ():
            inputs = self._pending[first:]
            strides = (inputs.itemsize * self._orig, inputs.itemsize)
            result[:, outputs] = as_strided(inputs, (groups, len(weights)), strides, writeable=False) @ weights
        self._pending = self._pending[groups * self._orig :]
        self._returned += result.size
        return result.reshape(-1)


def _width(orig: int, new: int) -> int:
    """Return the number of zeros before the first sample."""
    return math.ceil(LOWPASS_FILTER_WIDTH * orig / (min(orig, new) * ROLLOFF))


@lru_cache(CACHED_WEIGHTS)
def _weights(orig: int, new: int, factor: int) -> list[tuple[slice, int, NDArray[np.float32]]]:
    """Return for each product: the outputs of a group, their first input, and the weights `[inputs, outputs]`.

    The formula is that of `torchaudio.functional.functional._get_sinc_resample_kernel`, in float64. Only the position
    `j / new` of an output is in float32 there, which moves the result by up to 1e-4. Most weights of exactly 0, which
    torchaudio multiplies as well, are left out.

    Args:
        orig: input samples for `new` output samples, without a common factor.
        new: output samples for `orig` input samples.
        factor: number of such groups that form one group.
    """
    products = []
    for start in range(0, factor * new, OUTPUTS_PER_PRODUCT):
        outputs = np.arange(start, min(start + OUTPUTS_PER_PRODUCT, factor * new))
        first, stop = _input_range(outputs, orig, new, factor)
        inputs = np.arange(first, stop)[:, None] - _width(orig, new) - outputs // new * orig
        position = -(outputs % new).astype(np.float32) / np.float32(new)
        products.append((slice(start, start + len(outputs)), first, _kernel(inputs / orig + position, orig, new)))
    return products


def _input_range(outputs: NDArray[np.int64], orig: int, new: int, factor: int) -> tuple[int, int]:
    """Return the first input within reach of `outputs` `[N]`, and the one after the last."""
    width = _width(orig, new)
    reach = LOWPASS_FILTER_WIDTH * orig / (min(orig, new) * ROLLOFF)
    first = math.ceil(outputs[0] * orig / new + width - reach)
    stop = math.floor(outputs[-1] * orig / new + width + reach) + 1
    return max(0, first), min(stop, 2 * width + factor * orig)


def _kernel(distance: NDArray[np.float64], orig: int, new: int) -> NDArray[np.float32]:
    """Return the windowed sinc, any shape, at a distance in units of a group."""
    base = min(orig, new) * ROLLOFF
    time = np.clip(distance * base, -LOWPASS_FILTER_WIDTH, LOWPASS_FILTER_WIDTH)
    window = np.cos(time * np.pi / LOWPASS_FILTER_WIDTH / 2) ** 2
    kernel: NDArray[np.float32] = (np.sinc(time) * window * base / orig).astype(np.float32)
    return kernel
