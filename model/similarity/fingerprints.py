"""Fingerprints of recordings from their mels, and the comparison of two of them at every offset.

A value of a fingerprint is the sign of a difference: does the step of log power from one band to the next grow or
shrink over time (Haitsma and Kalker 2002)? The signs survive a change of level, an equalizer and a lossy codec. Two
recordings of the same performance agree at one offset, wherever either of them was cut. Different recordings, also
other performances of a piece, agree no more than by chance.

Axes: S sign of neighboring bands, N frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

BANDS = 16
"""Bands that the mel is averaged to."""
SMOOTHING_FRAMES = 4
"""Frames that are averaged, so that a cut between two frames changes little."""
STEP_FRAMES = 2
"""Distance between the frames of a difference, and between the frames of the first, coarse comparison."""
MIN_OVERLAP_SECONDS = 10.0
"""Shortest overlap that is compared. A shorter recording must overlap completely."""
MIN_AGREEMENT = 0.4
"""Agreement from which two recordings count as the same. docs/search.md states its error rates on made pairs, which
`tests/benchmarks/bench_duplicates.py` measures."""
_MIN_STEP = 1e-3  # decades; smaller differences are rounding
_FLOOR = 1e-6


class Alignment(NamedTuple):
    """The best offset of two recordings."""

    agreement: float
    """Mean product of the signs in the overlap: 1 for the same sound, 0 by chance."""
    offset_frames: int
    """Frames of the first recording that come before the second one begins. Negative if the second begins earlier."""
    overlap_frames: int
    """Frames that both recordings have."""


@dataclass(frozen=True)
class Fingerprint:
    """The signs of a recording."""

    signs: NDArray[np.int8]
    """-1, 0 or 1, `[S, N]`."""

    @classmethod
    def of_mel(cls, power: NDArray[np.float32]) -> Fingerprint:
        """Return the fingerprint of a mel `[n_mels, N]` of power."""
        bands = np.array_split(np.log10(np.maximum(power, _FLOOR)), min(BANDS, len(power)))
        levels = np.stack([band.mean(axis=0) for band in bands])
        sums = np.cumsum(np.pad(levels, ((0, 0), (1, 0))), axis=1)
        smooth = (sums[:, SMOOTHING_FRAMES:] - sums[:, :-SMOOTHING_FRAMES]) / SMOOTHING_FRAMES
        steps = np.diff(smooth, axis=0)
        changes = steps[:, STEP_FRAMES:] - steps[:, :-STEP_FRAMES]
        return cls(np.sign(np.where(np.abs(changes) < _MIN_STEP, 0, changes)).astype(np.int8))

    def align(self, other: Fingerprint, min_overlap_frames: int) -> Alignment:
        """Return the offset at which the two recordings agree best.

        Args:
            other: fingerprint of the second recording.
            min_overlap_frames: frames that must overlap, or all frames of a shorter recording.
        """
        lengths = self.signs.shape[1], other.signs.shape[1]
        if min(lengths) < 1:
            return Alignment(0.0, 0, 0)
        min_overlap = min(min_overlap_frames, *lengths)
        coarse = STEP_FRAMES * self._coarse_offset(other, min_overlap // STEP_FRAMES)
        near = range(coarse - STEP_FRAMES, coarse + STEP_FRAMES + 1)
        return max(self._agreement(other, offset, min_overlap) for offset in near)

    def _coarse_offset(self, other: Fingerprint, min_overlap: int) -> int:
        """Return the best offset among those of every second frame, in units of two frames, by a convolution."""
        first, second = (signs[:, ::STEP_FRAMES].astype(np.float32) for signs in (self.signs, other.signs))
        lengths = first.shape[1], second.shape[1]
        size = fft.next_fast_len(sum(lengths), real=True)
        products = fft.irfft((fft.rfft(first, size) * fft.rfft(second, size).conj()).sum(axis=0), size)
        offsets = np.arange(1 - lengths[1], lengths[0])
        overlaps = np.minimum(lengths[0], offsets + lengths[1]) - np.maximum(0, offsets)
        agreements = products[offsets % size] / overlaps
        agreements[overlaps < min(min_overlap, *lengths)] = -np.inf
        return int(offsets[agreements.argmax()])

    def _agreement(self, other: Fingerprint, offset: int, min_overlap: int) -> Alignment:
        start, stop = max(0, offset), min(self.signs.shape[1], offset + other.signs.shape[1])
        if stop - start < max(1, min_overlap - STEP_FRAMES):
            return Alignment(-1.0, offset, 0)
        first, second = self.signs[:, start:stop], other.signs[:, start - offset : stop - offset]
        return Alignment(float(np.mean(first * second, dtype=np.float64)), offset, stop - start)
