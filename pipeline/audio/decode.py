"""An audio file -> mono float32 samples at the mel's rate, whatever the file is.

libav and libsndfile decode the containers that they serve best, in this process, ffmpeg all others; what one refuses,
the next is asked for. The mean of the channels is the one downmix rule and soxr HQ the one resampler. Blocks stream
through, so memory holds the mono result and a few mebibytes, also for 8 channels at 192 kHz.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.audio import ffmpeg, libav, sndfile
from pipeline.audio.deadline import Deadline
from stores.errors import DecodeError

REVISION = 2
"""Of this code, where it changed samples: 2 reads MP3 without a seek between blocks."""
OTHER_MAY_READ = ("unreadable", "no_audio")
"""Refusals of one decoder after which the other is asked."""


@dataclass(frozen=True)
class Audio:
    """One decoded recording."""

    samples: NDArray[np.float32]
    """Mono `[T]`, full scale is -1 to 1, at the rate asked for; at most as many as were to be kept."""
    total_samples: int
    """Samples of the whole recording at that rate."""
    source_rate_hz: int
    """Rate in the file."""
    source_channels: int
    """Channels in the file."""
    decoder: str
    """Who decoded it."""
    complaints: str
    """What the decoders complained of while one went on; empty if nothing."""


class BlockDecoder(Protocol):
    """What a decoder of one file offers: blocks of samples, and facts that are known once the first came."""

    name: str
    rate_hz: int
    channels: int
    last_words: str

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Interleaved samples `[T, channels]`."""


def preprocessing() -> dict[str, Any]:
    """What can change a sample, for the fingerprint of a store."""
    return {
        "decoders": [libav.version(), sndfile.version(), ffmpeg.version()],
        "downmix": "mean of channels",
        "resampler": f"soxr {soxr.__libsoxr_version__} HQ",
        "revision": REVISION,
    }


def decode(
    path: Path,
    rate_hz: int,
    max_seconds: float = 3_600.0,
    limit_seconds: float = 300.0,
    keep_seconds: float | None = None,
) -> Audio:
    """Decode the first audio stream of `path` to mono at `rate_hz`.

    Args:
        path: the file; its content decides the format, not its name.
        rate_hz: sample rate of the result.
        max_seconds: the longest recording that is accepted, seconds of audio.
        limit_seconds: the longest that decoding may take, wall clock.
        keep_seconds: keep only so much of the start in memory; the rest is decoded and counted.

    Raises:
        DecodeError: with one of the reasons of `stores.errors.REJECTION_REASONS`.
    """
    if not path.is_file():
        raise DecodeError("missing", f"{path} is not a regular file")
    keep_samples = int((max_seconds if keep_seconds is None else keep_seconds) * rate_hz) + 1
    refusals: list[DecodeError] = []
    for decoder in _decoders(path, Deadline(limit_seconds)):
        try:
            return _decoded(decoder, rate_hz, max_seconds, keep_samples, refusals)
        except DecodeError as refusal:
            if refusal.reason not in OTHER_MAY_READ:
                raise
            refusals.append(refusal)
    raise DecodeError(refusals[-1].reason, "; ".join(refusal.detail for refusal in refusals))


def file_digest(path: Path) -> str:
    """BLAKE2b-128 of the bytes of `path`, hex.

    Raises:
        DecodeError: `missing`, if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise DecodeError("missing", str(error)) from error


def _decoders(path: Path, deadline: Deadline) -> list[BlockDecoder]:
    """Those that may read the file, the better one first; only ffmpeg is given what it may not serve."""
    try:
        with path.open("rb") as file:
            head = file.read(sndfile.HEAD_BYTES)
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    if not head:
        raise DecodeError("unreadable", "the file is empty")
    serving = [decoder for decoder in (libav, sndfile) if decoder.serves(head)]
    return [decoder.FileDecoder(path, deadline) for decoder in (*serving, ffmpeg)]


def _decoded(
    decoder: BlockDecoder, rate_hz: int, max_seconds: float, keep_samples: int, refusals: list[DecodeError]
) -> Audio:
    kept, total = [np.zeros(0, np.float32)], 0
    with closing(decoder.blocks()) as blocks:
        for block in _resampled(decoder, _limited(decoder, blocks, max_seconds), rate_hz):
            kept.append(block[: max(0, keep_samples - total)])
            total += len(block)
    if not total:
        raise DecodeError("no_audio", decoder.last_words or f"{decoder.name}: the audio stream holds no samples")
    samples = np.concatenate(kept)
    if not np.isfinite(samples).all():
        raise DecodeError("not_finite", f"{np.count_nonzero(~np.isfinite(samples))} samples are NaN or infinite")
    complaints = "; ".join(filter(None, [*(refusal.detail for refusal in refusals), decoder.last_words]))
    return Audio(samples, total, decoder.rate_hz, decoder.channels, decoder.name, complaints)


def _resampled(
    decoder: BlockDecoder, blocks: Iterator[NDArray[np.float32]], rate_hz: int
) -> Iterator[NDArray[np.float32]]:
    stream: soxr.ResampleStream | None = None
    for block in blocks:
        mono = _mean_of_channels(block)
        if decoder.rate_hz == rate_hz:
            yield mono
            continue
        stream = stream or soxr.ResampleStream(decoder.rate_hz, rate_hz, 1, dtype="float32", quality="HQ")
        yield stream.resample_chunk(mono)
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _mean_of_channels(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mono `[T]` of `[T, channels]`; channel by channel, twenty times as fast as NumPy's mean of short rows."""
    if block.shape[1] == 1:
        return block[:, 0]
    total = block[:, 0].copy()
    for channel in block.T[1:]:
        total += channel
    total /= np.float32(block.shape[1])
    return total


def _limited(
    decoder: BlockDecoder, blocks: Iterator[NDArray[np.float32]], max_seconds: float
) -> Iterator[NDArray[np.float32]]:
    """The blocks of a recording; checked before resampling, where a rate of 1 Hz would make gigabytes of one block."""
    samples = 0
    for block in blocks:
        samples += len(block)
        if samples > max_seconds * decoder.rate_hz:
            raise DecodeError("too_long", f"longer than the limit of {max_seconds:g} s; raise --max-seconds")
        yield block
