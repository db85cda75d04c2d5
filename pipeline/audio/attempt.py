"""One attempt to decode a file: the blocks of one decoder become mono samples at the sample rate of the mel.

The downmix is the mean of the channels. If the sample rate changes inside a file, each part is resampled by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import pitch_shift
from pipeline.audio.lengths.statement import Statement
from pipeline.audio.levels import LevelMeter, SpanLevels
from pipeline.audio.resample import Resampler, ResampleStream
from stores.errors import DecodeError

MAX_OUTPUT_SAMPLES = 1 << 20
"""Resampled samples of a block at most. A header with a rate of 1 Hz would make gigabytes of a block."""
WHOLE = ((0.0, math.inf),)
"""The only span of a recording that is not cut."""
_HALF = np.full(2, 0.5, np.float32)
_PRODUCT_SAMPLES = 1 << 16
"""Samples of a product. OpenBLAS would use threads for 200,000, and takes 8 ms for them if no core is free."""
Result = TypeVar("Result")
Block = Sequence[NDArray[np.float32]]
"""The next mono samples `[T]` of each transposition. They can differ in length."""
Consumer = Callable[[Iterator[Block]], Result]


class BlockDecoder(Protocol):
    """The decoder of one file. Sample rate and channels are those of the last block; the rest is known at the end."""

    name: str
    rate_hz: int
    channels: int
    measures_peak: bool
    """True if the samples may be floating point, so that their peak is measured."""
    is_exhaustive: bool
    """True if it decodes everything that ffmpeg decodes, so that no other decoder is asked for more."""

    @property
    def messages(self) -> str:
        """Errors inside the file that did not end the decoding, or empty text."""

    @property
    def stores_floats(self) -> bool:
        """True if the file holds samples in floating point."""

    @property
    def statement(self) -> Statement:
        """The length that the container states, as far as only the decoder knows it."""

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Yield interleaved samples `[T, channels]` in blocks. A block is valid until the next one is asked for."""


@dataclass(frozen=True)
class StreamSettings:
    """The settings of a conversion to mono samples."""

    rate_hz: int
    """Sample rate of the result in Hz."""
    max_seconds: float
    """Longest recording that is accepted, in seconds."""
    resampler: Resampler = "soxr"
    """Name of the resampler."""
    spans_seconds: Sequence[tuple[float, float]] = WHOLE
    """Spans in which the levels are measured: start and end in seconds."""
    transpositions: Sequence[int] = (0,)
    """Transpositions in semitones, upward if positive. All are made of one pass over the file."""


@dataclass(frozen=True)
class Attempt(Generic[Result]):
    """The result of a decoder that reached the end of its file."""

    result: Result
    """The result of the consumer of the samples."""
    decoder: BlockDecoder
    """The decoder."""
    source_rate_hz: int
    """Sample rate at the start of the file in Hz."""
    source_channels: int
    """Number of channels at the start of the file."""
    seconds: float
    """Length of the audio in seconds."""
    total_samples: int
    """Number of samples at the new rate, of the first transposition."""
    levels: list[SpanLevels]
    """Levels of each span."""


def run(decoder: BlockDecoder, settings: StreamSettings, consume: Consumer[Result]) -> Attempt[Result]:
    """Decode a file, and pass its mono samples to `consume` in blocks.

    Args:
        decoder: the decoder of the file.
        settings: the settings of the conversion.
        consume: gets an iterator of blocks with the samples of each transposition. The rest of the file is not decoded
            if it stops early.

    Raises:
        DecodeError: from the decoder, `too_long`, or `no_audio` if there are no samples.
    """
    conversion = _Conversion(decoder, settings)
    with closing(conversion.blocks()) as blocks:
        result = consume(blocks)
    if not conversion.total_samples:
        raise DecodeError("no_audio", decoder.messages or f"{decoder.name}: the audio stream has no samples")
    return Attempt(
        result,
        decoder,
        *conversion.first_layout,
        conversion.seconds,
        conversion.total_samples,
        conversion.meter.levels,
    )


class _Conversion:
    """The conversion of one file, and what was counted on the way."""

    def __init__(self, decoder: BlockDecoder, settings: StreamSettings) -> None:
        self._decoder, self._settings = decoder, settings
        self._rate_hz = 0
        self._streams: list[ResampleStream] = []
        self._earlier_seconds, self._samples = 0.0, 0  # of parts at other rates, and of the present part
        self.first_layout = (0, 0)
        self.total_samples = 0
        self.meter = LevelMeter(settings.spans_seconds)

    @property
    def seconds(self) -> float:
        """Length of the audio so far in seconds."""
        return self._earlier_seconds + (self._samples / self._rate_hz if self._rate_hz else 0.0)

    def blocks(self) -> Generator[Block, None, None]:
        """Yield the mono samples `[T]` of each transposition, at the new rate."""
        with closing(self._decoder.blocks()) as blocks:
            for block in blocks:
                if self._decoder.rate_hz != self._rate_hz:
                    yield from self._finish_part()
                    self._begin_part()
                yield from self._convert(block)
        yield from self._finish_part()

    def _begin_part(self) -> None:
        self._rate_hz = self._decoder.rate_hz
        self._streams = [
            pitch_shift.stream(self._settings.resampler, self._rate_hz, self._settings.rate_hz, semitones)
            for semitones in self._settings.transpositions
        ]
        if not self.first_layout[0]:
            self.first_layout = self._rate_hz, self._decoder.channels

    def _finish_part(self) -> Iterator[Block]:
        if self._streams:
            self._earlier_seconds, self._samples = self.seconds, 0
            yield self._count([stream.finish() for stream in self._streams])

    def _convert(self, block: NDArray[np.float32]) -> Iterator[Block]:
        self._samples += len(block)
        if self.seconds > self._settings.max_seconds:
            limit = f"longer than the limit of {self._settings.max_seconds:g} s"
            raise DecodeError("too_long", f"{limit}; raise --max-seconds")
        mono = mean_of_channels(block)
        self.meter.add(block, mono, self._rate_hz, self._decoder.measures_peak)
        step = max(1, MAX_OUTPUT_SAMPLES * self._rate_hz // self._settings.rate_hz)
        for start in range(0, len(mono), step):
            part = mono[start : start + step]
            yield self._count([stream.push(part) for stream in self._streams])

    def _count(self, block: Block) -> Block:
        self.total_samples += len(block[0])
        return block


def mean_of_channels(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return mono `[T]` of `[T, channels]` in new memory. NumPy's mean of short rows takes twenty times as long."""
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0].copy()
    if channels == 2:
        pair = np.empty(len(block), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            for start in range(0, len(block), _PRODUCT_SAMPLES):
                stop = start + _PRODUCT_SAMPLES
                np.matmul(block[start:stop], _HALF, out=pair[start:stop])
        return pair
    total = block[:, 0].copy()
    for channel in block.T[1:]:
        total += channel
    total /= np.float32(channels)
    return total
