"""Decoding of an audio file of any format to mono float32 samples at the sample rate of the mel.

libav, libsndfile and dr_flac decode, in this process, the formats that they decode best. ffmpeg decodes all others. If
a decoder rejects a file, or decodes less than the file states, the next one tries it. The downmix is always the mean of
the channels. Samples are processed in blocks, so `decode_stream` needs about 20 MiB for a recording of any length.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import attempt, completeness, dr_flac, ffmpeg, libav, resample, sndfile
from pipeline.audio.attempt import Attempt, Block, BlockDecoder, Consumer, Result, StreamSettings
from pipeline.audio.deadline import Deadline
from pipeline.audio.lengths.by_format import read_statement
from pipeline.audio.lengths.statement import EXACT_SECONDS, Statement
from pipeline.audio.levels import MonoLevels, SpanLevels, judge
from pipeline.audio.resample import Resampler
from stores.errors import DecodeError

REVISION = 2
"""Revision of this code, which increases when samples of sound files change. Revision 2 reads MP3 without seeks."""
DIGEST_BLOCK_BYTES = 1 << 18
BEGINNING_BLOCK_SAMPLES = 1 << 17
"""Samples of all channels in a block, which are 1.5 s of stereo, if only the beginning of a file is decoded."""
RETRY_REASONS = ("unreadable", "no_audio")
"""Rejection reasons of one decoder after which the next one is tried."""


@dataclass(frozen=True)
class Audio:
    """A decoded recording in memory."""

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
    """Text of the warnings, or empty text."""
    warnings: tuple[str, ...] = ()
    """Names of the warnings, such as `short` or `clipped`."""
    expected_seconds: float = 0.0
    """Longest length in seconds that the file or its container states, or 0 if none is stated."""


@dataclass(frozen=True)
class Recording:
    """Properties of a recording that are known once all of its samples were read."""

    total_samples: int
    """Number of samples at the requested rate, of the first transposition."""
    seconds: float
    """Length of the audio that was decoded, in seconds."""
    expected_seconds: float
    """Longest length in seconds that the file or its container states, or 0 if none is stated."""
    source_rate_hz: int
    """Sample rate of the file in Hz, at its start if it changes."""
    source_channels: int
    """Number of channels of the file, at its start if it changes."""
    decoder: str
    """Name and version of the decoder."""
    warnings: tuple[tuple[str, str], ...]
    """Name and text of each warning about the length and the bytes of the file."""
    stores_floats: bool
    """True if the file holds samples in floating point."""
    levels: tuple[SpanLevels, ...]
    """Levels of the channels in each span."""


def preprocessing(resampler: Resampler = "soxr") -> dict[str, Any]:
    """Return all settings and versions that can change a sample, for the digest of a store.

    dr_flac is not among them, because its samples are those that FLAC defines.
    """
    return {
        "decoders": [libav.version(), sndfile.version(), ffmpeg.version()],
        "downmix": "mean of channels",
        "resampler": resample.version(resampler),
        "revision": REVISION,
    }


def decode(
    path: Path,
    rate_hz: int,
    max_seconds: float = 3_600.0,
    timeout_seconds: float = 300.0,
    deadline: Deadline | None = None,
    resampler: Resampler = "soxr",
    semitones: int = 0,
) -> Audio:
    """Decode the first audio stream of `path` to mono at `rate_hz`.

    Args:
        path: the file. Its content determines the format, and its name does not.
        rate_hz: sample rate of the result in Hz.
        max_seconds: longest recording that is accepted, in seconds of audio.
        timeout_seconds: longest time that decoding may take, in wall-clock seconds.
        deadline: time limit that began before the call (default: `timeout_seconds` from now).
        resampler: `soxr` (HQ), or `torchaudio` for the formula of `torchaudio.transforms.Resample`.
        semitones: transposition, upward if positive. The length does not change.

    Raises:
        DecodeError: with one of the reasons of `stores.errors.REJECTION_REASONS`.
    """
    settings = StreamSettings(rate_hz, max_seconds, resampler, transpositions=(semitones,))
    samples, recording = decode_stream(path, settings, _collect, deadline or Deadline(timeout_seconds))
    mono = MonoLevels()
    mono.add(samples)
    verdict = judge(recording.levels[0], mono, recording.stores_floats)
    if verdict.reason == "not_finite":
        raise DecodeError(verdict.reason, verdict.detail)
    loud = [(verdict.reason, verdict.detail)] if verdict.reason in ("out_of_scale", "channels_cancel") else []
    warnings = (*recording.warnings, *loud, *verdict.warnings)
    return Audio(
        samples,
        recording.total_samples,
        recording.source_rate_hz,
        recording.source_channels,
        recording.decoder,
        "; ".join(text for _, text in warnings),
        tuple(name for name, _ in warnings),
        recording.expected_seconds,
    )


def decode_beginning(path: Path, seconds: float, settings: StreamSettings, deadline: Deadline) -> NDArray[np.float32]:
    """Decode the first seconds of the first audio stream of `path`, and none of the rest.

    The samples are those that `decode` returns for the whole file. The length of the file is not checked.

    Args:
        path: the file.
        seconds: length of the result, which is shorter if the audio is.
        settings: rate, resampler, and one transposition.
        deadline: time limit.

    Returns:
        Mono samples `[T]`.

    Raises:
        DecodeError: with one of the reasons of `stores.errors.REJECTION_REASONS`.
    """
    samples, rejection = np.zeros(0, np.float32), DecodeError("unreadable", f"{path} cannot be decoded")
    enough = int(seconds * settings.rate_hz)
    for decoder in _decoders(path, deadline, _statement(path, deadline), BEGINNING_BLOCK_SAMPLES):
        try:
            decoded = attempt.run(decoder, settings, lambda blocks: _collect(blocks, enough)).result
        except DecodeError as error:
            rejection = error
            continue
        samples = max(samples, decoded, key=len)
        if len(samples) >= enough or decoder.is_exhaustive:
            break
    if not len(samples):
        raise rejection
    return samples[:enough]


def decode_stream(
    path: Path, settings: StreamSettings, consume: Consumer[Result], deadline: Deadline
) -> tuple[Result, Recording]:
    """Decode the first audio stream of `path`, and pass its samples to `consume` in blocks.

    If a decoder fails or stops early, the next one starts again from the first sample, and `consume` is called again.

    Args:
        path: the file. Its content determines the format, and its name does not.
        settings: rate, longest recording, resampler, transpositions, and the spans in which levels are measured.
        consume: gets an iterator of blocks with the mono samples of each transposition, must reach its end, and returns
            a result.
        deadline: time limit of all decoders together.

    Returns:
        The result of `consume` for the decoder that decoded most, and what is known of the recording.

    Raises:
        DecodeError: with one of the reasons of `stores.errors.REJECTION_REASONS`.
    """
    statement = _statement(path, deadline)
    attempts: list[Attempt[Result]] = []
    rejections: list[tuple[BlockDecoder, DecodeError]] = []
    for decoder in _decoders(path, deadline, statement):
        try:
            attempts.append(attempt.run(decoder, settings, consume))
        except DecodeError as rejection:
            if rejection.reason not in (*RETRY_REASONS, *(("timeout",) if attempts else ())):
                raise
            rejections.append((decoder, rejection))
            continue
        if decoder.is_exhaustive or not _expect(statement, attempts[-1]).is_missed_by(attempts[-1].seconds):
            break
    if not attempts:
        raise DecodeError(rejections[-1][1].reason, "; ".join(rejection.detail for _, rejection in rejections))
    longest = _longest(attempts)
    return longest.result, _recording(longest, statement, rejections)


def file_digest(path: Path, deadline: Deadline | None = None) -> str:
    """Return the BLAKE2b-128 of the bytes of `path`, in hex.

    Args:
        path: the file.
        deadline: time limit (default: none).

    Raises:
        DecodeError: `missing`, if the file cannot be read; `timeout`, if it is too large for the time limit.
    """
    digest, block = hashlib.blake2b(digest_size=16), memoryview(bytearray(DIGEST_BLOCK_BYTES))
    try:
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(block):
                digest.update(block[:size])
                if deadline is not None:
                    deadline.require_remaining()
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    return digest.hexdigest()


def _statement(path: Path, deadline: Deadline) -> Statement:
    """Return what the file states about its length."""
    if not path.is_file():
        raise DecodeError("missing", f"{path} is not a regular file")
    try:
        return read_statement(path, deadline.require_remaining)
    except OSError as error:
        raise DecodeError("missing", str(error)) from error


def _decoders(
    path: Path, deadline: Deadline, statement: Statement, block_samples: int | None = None
) -> list[BlockDecoder]:
    """Return the decoders to try, the best one first.

    libav is best for Ogg. libsndfile is best for regular files of the other formats that it knows, and would stop early
    in irregular ones. dr_flac is faster for the most common kind of FLAC.
    """
    try:
        with path.open("rb") as file:
            head = file.read(sndfile.HEAD_BYTES)
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    if not head:
        raise DecodeError("unreadable", "the file is empty")
    use_libav, use_sndfile = libav.supports(head), sndfile.supports(head)
    by_libav: list[BlockDecoder] = [libav.FileDecoder(path, deadline, statement, block_samples)] if use_libav else []
    by_sndfile: list[BlockDecoder] = [sndfile.FileDecoder(path, deadline, block_samples)] if use_sndfile else []
    by_ffmpeg = ffmpeg.FileDecoder(path, deadline, statement)
    by_dr_flac: list[BlockDecoder] = []
    if dr_flac.supports(head):
        by_dr_flac.append(dr_flac.FileDecoder(path, deadline, head, block_samples))
    if not statement.is_regular:
        return [*by_libav, by_ffmpeg, *by_sndfile]
    is_ogg = head.startswith(libav.OGG_MAGIC)
    return [*by_libav, *by_sndfile, by_ffmpeg] if is_ogg else [*by_dr_flac, *by_sndfile, *by_libav, by_ffmpeg]


def _collect(blocks: Iterator[Block], enough_samples: float = math.inf) -> NDArray[np.float32]:
    """Return the samples of the first transposition: of all blocks, or of those with the first `enough_samples`."""
    samples, total = [np.zeros(0, np.float32)], 0
    for block in blocks:
        samples.append(block[0])
        total += len(block[0])
        if total >= enough_samples:
            break
    return np.concatenate(samples)


def _expect(statement: Statement, attempted: Attempt[Any]) -> completeness.Expectation:
    return completeness.expect(statement, attempted.decoder.statement)


def _longest(attempts: Sequence[Attempt[Result]]) -> Attempt[Result]:
    """Return the first attempt, unless a later one decoded more."""
    longest = attempts[0]
    for other in attempts[1:]:
        if other.seconds > longest.seconds + EXACT_SECONDS:
            longest = other
    return longest


def _recording(
    attempted: Attempt[Any], statement: Statement, rejections: Sequence[tuple[BlockDecoder, DecodeError]]
) -> Recording:
    decoder, expectation = attempted.decoder, _expect(statement, attempted)
    # A decoder that had opened the file failed at its content. Any other one leaves the format to the next.
    errors = [error.detail for failed, error in rejections if failed.rate_hz and error.reason == "unreadable"]
    warnings = completeness.find_warnings(attempted.seconds, expectation, statement, [*errors, decoder.messages])
    return Recording(
        attempted.total_samples,
        attempted.seconds,
        expectation.seconds,
        attempted.source_rate_hz,
        attempted.source_channels,
        decoder.name,
        tuple(warnings),
        decoder.stores_floats,
        tuple(attempted.levels),
    )
