"""An audio file -> mono float32 samples at the mel's rate, whatever the file is.

ffmpeg decodes; the mean of the channels is the one downmix rule and soxr HQ the one resampler. Blocks stream through,
so memory holds the mono result and a few mebibytes, also for 8 channels at 192 kHz.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.audio import ffmpeg
from stores.errors import AudioRefused

AU_MAGIC = b".snd"
AU_HEADER_BYTES = 24
AU_FLOAT32 = 6
SAMPLE_BYTES = 4


@dataclass(frozen=True)
class Audio:
    """One decoded recording."""

    samples: NDArray[np.float32]
    """Mono `[T]`, full scale is -1 to 1, at the rate asked for."""
    source_rate_hz: int
    """Rate in the file."""
    source_channels: int
    """Channels in the file."""
    decoder: str
    """Who decoded it."""
    complaints: str
    """What the decoder complained of while it went on; empty if nothing."""


def preprocessing() -> dict[str, Any]:
    """What can change a sample, for the fingerprint of a store."""
    return {
        "decoder": ffmpeg.version(),
        "downmix": "mean of channels",
        "resampler": f"soxr {soxr.__libsoxr_version__} HQ",
    }


def decode(path: Path, rate_hz: int, max_seconds: float = 3_600.0, limit_seconds: float = 300.0) -> Audio:
    """Decode the first audio stream of `path` to mono at `rate_hz`.

    Args:
        path: the file; its content decides the format, not its name.
        rate_hz: sample rate of the result.
        max_seconds: the longest recording that is accepted, seconds of audio.
        limit_seconds: the longest that decoding may take, wall clock.

    Raises:
        AudioRefused: with one of the reasons of `stores.errors.REFUSAL_REASONS`.
    """
    if not path.is_file():
        raise AudioRefused("missing", f"{path} is not a regular file")
    process = ffmpeg.Decoding(path, limit_seconds)
    with contextlib.closing(process.blocks()) as stream:  # a refusal half-way ends ffmpeg now, not at collection
        source = _Source(stream)
        samples = np.concatenate([np.zeros(0, np.float32), *_resampled(source, max_seconds, rate_hz)])
    if not len(samples):
        raise AudioRefused("no_audio", process.last_words or "the audio stream holds no samples")
    if not np.isfinite(samples).all():
        raise AudioRefused("not_finite", f"{np.count_nonzero(~np.isfinite(samples))} samples are NaN or infinite")
    return Audio(samples, source.rate_hz, source.channels, ffmpeg.version(), process.last_words)


def file_digest(path: Path) -> str:
    """BLAKE2b-128 of the bytes of `path`, hex.

    Raises:
        AudioRefused: `missing`, if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise AudioRefused("missing", str(error)) from error


class _Source:
    """Mono blocks of an AU stream; rate and channels are known once the first block came."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.rate_hz, self.channels = 0, 0

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        pending = next(self._blocks, b"")
        if len(pending) < AU_HEADER_BYTES:
            pending += b"".join(self._blocks)  # nothing follows a short block, except the reason why it is short
        if not pending:
            return
        pending = pending[self._read_header(pending) :]
        for block in _and_nothing(self._blocks):
            whole = len(pending) - len(pending) % (SAMPLE_BYTES * self.channels)
            yield self._mono(pending[:whole])
            pending = pending[whole:] + block

    def _read_header(self, block: bytes) -> int:
        header = block[:AU_HEADER_BYTES].ljust(AU_HEADER_BYTES, b"\0")
        offset, _, encoding, self.rate_hz, self.channels = np.frombuffer(header, ">u4", offset=len(AU_MAGIC)).tolist()
        if header[:4] != AU_MAGIC or encoding != AU_FLOAT32 or not self.rate_hz or not self.channels:
            raise AudioRefused("unreadable", f"ffmpeg gave no float AU stream: {block[:AU_HEADER_BYTES]!r}")
        return int(offset)

    def _mono(self, block: bytes) -> NDArray[np.float32]:
        interleaved = np.frombuffer(block, ">f4").reshape(-1, self.channels)
        mono: NDArray[np.float32] = interleaved.mean(axis=1, dtype=np.float32)
        return mono


def _and_nothing(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks, then an empty one, so that a loop over them also flushes what is pending."""
    yield from blocks
    yield b""


def _resampled(source: _Source, max_seconds: float, rate_hz: int) -> Iterator[NDArray[np.float32]]:
    stream: soxr.ResampleStream | None = None
    for block in _limited(source, max_seconds):
        if source.rate_hz == rate_hz:
            yield block
            continue
        stream = stream or soxr.ResampleStream(source.rate_hz, rate_hz, 1, dtype="float32", quality="HQ")
        yield stream.resample_chunk(block)
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _limited(source: _Source, max_seconds: float) -> Iterator[NDArray[np.float32]]:
    """The blocks of `source`; checked before resampling, where a header of 1 Hz would make gigabytes of one block."""
    samples = 0
    for block in source:
        samples += len(block)
        if samples > max_seconds * source.rate_hz:
            raise AudioRefused("too_long", f"longer than the limit of {max_seconds:g} s; raise --max-seconds")
        yield block
