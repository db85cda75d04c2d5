"""The codes of one clip, computed while the mono samples of its recording pass by in blocks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.code_spool import CodeCollector, SpooledCodes
from pipeline.audio.levels import MonoLevels
from pipeline.audio.mel import MelStream
from stores.errors import DecodeError
from stores.mel_spec import MelSpec
from stores.quantize import Codes, Quantizer


class ClipEncoder:
    """The mel of one clip of a recording as stored codes.

    Args:
        spec: the mel specification.
        quantizer: mapping from mel power to stored codes.
        start_seconds: start of the clip in the recording.
        seconds: length of the clip, or 0 for a clip that lasts until the end of the recording.
        max_frames: largest number of frames. A longer clip is only counted.
    """

    def __init__(
        self, spec: MelSpec, quantizer: Quantizer, start_seconds: float, seconds: float, max_frames: int
    ) -> None:
        self._spec, self._quantizer = spec, quantizer
        self._start = round(start_seconds * spec.sample_rate_hz)
        self._stop = self._start + round(seconds * spec.sample_rate_hz) if seconds else math.inf
        self._max_frames = max(max_frames, spec.frames_for(round(seconds * spec.sample_rate_hz)) if seconds else 0)
        self._position = 0
        self._stream: MelStream | None = MelStream(spec)
        self._codes = CodeCollector(spec.n_mels, self._max_frames, quantizer.dtype)
        self._rejection: DecodeError | None = None
        self.levels = MonoLevels()

    @property
    def frames(self) -> int:
        """Number of frames of the samples so far."""
        return self._spec.frames_for(self.levels.samples)

    @property
    def is_too_long(self) -> bool:
        """True if the clip has more frames than there is space for."""
        return self.frames > self._max_frames

    def push(self, samples: NDArray[np.float32]) -> None:
        """Encode the next samples `[T]` of the recording, as far as they belong to the clip."""
        first = max(0, self._start - self._position)
        last = min(len(samples), self._stop - self._position)
        self._position += len(samples)
        if first < last:
            self._encode(samples[first : int(last)])

    def take(self) -> tuple[Codes | SpooledCodes, str]:
        """Return the codes `[n_mels, frames]` of the clip and their digest.

        Raises:
            DecodeError: `too_short`, or `not_finite` if the power overflows.
        """
        if self._rejection is not None:
            raise self._rejection
        assert self._stream is not None
        for mel in self._stream.finish():
            self._codes.append(self._quantizer.encode(mel))
        return self._codes.take()

    def _encode(self, samples: NDArray[np.float32]) -> None:
        self.levels.add(samples)
        if self.is_too_long:
            self._stream = None
        if self._stream is None:
            return
        try:
            for mel in self._stream.push(samples):
                self._codes.append(self._quantizer.encode(mel))
        except DecodeError as rejection:
            self._rejection, self._stream = rejection, None
