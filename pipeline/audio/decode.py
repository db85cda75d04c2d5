"""Decoding of an audio file of any format to mono float32 samples at the sample rate of the mel.

libav and libsndfile decode, in this process, the formats that they decode best. ffmpeg decodes all others. If a decoder
rejects a file, the next one tries it. The downmix is always the mean of the channels, and the resampler is always soxr
HQ. Samples are processed in blocks, so memory holds the mono result and a few mebibytes, even for 8 channels at
192 kHz.
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
"""Revision of this code, which increases when samples change. Revision 2 reads MP3 without a seek between blocks."""
RETRY_REASONS = ("unreadable", "no_audio")
"""Rejection reasons of one decoder after which the next one is tried."""


@dataclass(frozen=True)
class Audio:
    """A decoded recording."""

    samples: NDArray[np.float32]
    """Mono samples `[T]` at the requested rate, full scale -1 to 1. There are at most as many as were to be kept."""
    total_samples: int
    """Number of samples of the whole recording at the requested rate."""
    source_rate_hz: int
    """Sample rate of the file in Hz."""
    source_channels: int
    """Number of channels of the file."""
    decoder: str
    """Name and version of the decoder."""
    decoder_warnings: str
    """Messages of the decoders about a file that was decoded anyway, or empty text."""


class BlockDecoder(Protocol):
    """The decoder of one file. Sample rate and channels are known after the first block, messages after the last."""

    name: str
    rate_hz: int
    channels: int
    messages: str

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Yield interleaved samples `[T, channels]` in blocks."""


def preprocessing() -> dict[str, Any]:
    """Return all settings and versions that can change a sample, for the digest of a store."""
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
    timeout_seconds: float = 300.0,
    keep_seconds: float | None = None,
) -> Audio:
    """Decode the first audio stream of `path` to mono at `rate_hz`.

    Args:
        path: the file. Its content determines the format, and its name does not.
        rate_hz: sample rate of the result in Hz.
        max_seconds: longest recording that is accepted, in seconds of audio.
        timeout_seconds: longest time that decoding may take, in wall-clock seconds.
        keep_seconds: seconds of audio to keep in memory from the start (default: all). The rest is decoded and counted.

    Raises:
        DecodeError: with one of the reasons of `stores.errors.REJECTION_REASONS`.
    """
    if not path.is_file():
        raise DecodeError("missing", f"{path} is not a regular file")
    keep_samples = int((max_seconds if keep_seconds is None else keep_seconds) * rate_hz) + 1
    rejections: list[DecodeError] = []
    for decoder in _decoders(path, Deadline(timeout_seconds)):
        try:
            return _decode(decoder, rate_hz, max_seconds, keep_samples, rejections)
        except DecodeError as rejection:
            if rejection.reason not in RETRY_REASONS:
                raise
            rejections.append(rejection)
    raise DecodeError(rejections[-1].reason, "; ".join(rejection.detail for rejection in rejections))


def file_digest(path: Path) -> str:
    """Return the BLAKE2b-128 of the bytes of `path`, in hex.

    Raises:
        DecodeError: `missing`, if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise DecodeError("missing", str(error)) from error


def _decoders(path: Path, deadline: Deadline) -> list[BlockDecoder]:
    """Return the decoders to try, the best one first. ffmpeg is always the last."""
    try:
        with path.open("rb") as file:
            head = file.read(sndfile.HEAD_BYTES)
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    if not head:
        raise DecodeError("unreadable", "the file is empty")
    in_process = [decoder for decoder in (libav, sndfile) if decoder.supports(head)]
    return [decoder.FileDecoder(path, deadline) for decoder in (*in_process, ffmpeg)]


def _decode(
    decoder: BlockDecoder, rate_hz: int, max_seconds: float, keep_samples: int, rejections: list[DecodeError]
) -> Audio:
    kept, total = [np.zeros(0, np.float32)], 0
    with closing(decoder.blocks()) as blocks:
        for block in _resample(decoder, _limit_length(decoder, blocks, max_seconds), rate_hz):
            kept.append(block[: max(0, keep_samples - total)])
            total += len(block)
    if not total:
        raise DecodeError("no_audio", decoder.messages or f"{decoder.name}: the audio stream has no samples")
    samples = np.concatenate(kept)
    if not np.isfinite(samples).all():
        raise DecodeError("not_finite", f"{np.count_nonzero(~np.isfinite(samples))} samples are NaN or infinite")
    warnings = "; ".join(filter(None, [*(rejection.detail for rejection in rejections), decoder.messages]))
    return Audio(samples, total, decoder.rate_hz, decoder.channels, decoder.name, warnings)


def _resample(
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
    """Return mono `[T]` of `[T, channels]`. Adding channels is twenty times as fast as NumPy's mean of short rows."""
    if block.shape[1] == 1:
        return block[:, 0]
    total = block[:, 0].copy()
    for channel in block.T[1:]:
        total += channel
    total /= np.float32(block.shape[1])
    return total


def _limit_length(
    decoder: BlockDecoder, blocks: Iterator[NDArray[np.float32]], max_seconds: float
) -> Iterator[NDArray[np.float32]]:
    """Yield the blocks and check the length before resampling, where a rate of 1 Hz would make gigabytes of a block."""
    samples = 0
    for block in blocks:
        samples += len(block)
        if samples > max_seconds * decoder.rate_hz:
            raise DecodeError("too_long", f"longer than the limit of {max_seconds:g} s; raise --max-seconds")
        yield block
