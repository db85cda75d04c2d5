"""The conversion of one recording to the rows and codes of its clips: read, decode, cut, compute the mel, quantize."""

from __future__ import annotations

import errno
import math
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.audio import pitch_shift, source
from pipeline.audio.attempt import Block, StreamSettings
from pipeline.audio.clip_encoder import ClipEncoder
from pipeline.audio.code_spool import SpooledCodes
from pipeline.audio.completeness import Warning
from pipeline.audio.deadline import Deadline
from pipeline.audio.decode import Recording, decode_stream, file_digest
from pipeline.audio.levels import SILENT_PEAK, SpanLevels, Verdict, judge
from pipeline.audio.remote import AudioPath
from pipeline.ingestion.config import Limits
from stores.errors import DecodeError, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_flags import DEFAULT_RESAMPLER, ResamplerName
from stores.mel_spec import MelSpec
from stores.quantize import Codes, Quantizer

StoredCodes = Codes | SpooledCodes
"""Codes of a clip in memory or, if they are many, in a temporary file. Both have `shape` and `codes[:, start:stop]`."""
KEPT_REASONS = ("silent", "channels_cancel")
"""Reasons for which a clip is rejected only if silence is."""
CUT_TOLERANCE_SECONDS = 0.5
"""Seconds that may be missing at the end of a clip that the dataset cuts, because videos end a little early."""
WARNING_SEPARATOR = "|"
MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""Errors of the machine, such as a full disk, for which no recording is rejected."""


@dataclass(frozen=True)
class DecodeSettings:
    """The settings with which all recordings of a store are decoded and stored."""

    root: AudioPath
    """Folder that the sources of the rows are relative to."""
    spec: MelSpec
    """Mel specification."""
    quantizer: Quantizer
    """Mapping from mel power to stored codes."""
    limits: Limits
    """Limits of the length and the decoding time of a recording."""
    keeps_silence: bool = False
    """Store silent clips. If false, they are rejected."""
    resampler: ResamplerName = DEFAULT_RESAMPLER
    """Conversion of the sample rate."""
    cut_slack_seconds: float = 0.0
    """Seconds by which a recording may be longer than its clip and still be the clip, already cut. 0: never."""


def read(settings: DecodeSettings, clips: Sequence[ClipRow]) -> list[tuple[ClipRow, StoredCodes | None]]:
    """Return the finished rows and the codes of the clips of one recording, which is decoded once.

    The codes are None for a clip that is rejected or that does not fit into its region.

    Args:
        settings: the decode settings.
        clips: rows with the same source and member. Their transpositions are made of one pass over the recording.

    Raises:
        MissingArtifact: the root is gone or empty. No file is rejected because its disk was unplugged.
        OSError: one of `MACHINE_ERRORS`.
    """
    try:
        return list(_read(settings, clips))
    except DecodeError as rejection:
        if rejection.reason == "missing" and not _holds_anything(settings.root):
            raise MissingArtifact(
                f"{settings.root} is gone or empty; mount it again, then start the same command again"
            ) from rejection
        return reject(clips, rejection)
    except MissingArtifact:  # remote storage that cannot be reached; no recording is rejected because of it
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
            raise
        return reject(clips, DecodeError("crashed", f"{type(error).__name__}: {error}"))


def limit_seconds(limits: Limits, clips: Sequence[ClipRow]) -> float:
    """Return the wall-clock seconds that the clips of one recording may take: the limit for each transposition."""
    return limits.decode_seconds * len(_transpositions(clips))


def reject(clips: Sequence[ClipRow], rejection: DecodeError) -> list[tuple[ClipRow, StoredCodes | None]]:
    """Return the rows of `clips`, all rejected for the same reason."""
    return [(_reject_clip(row, rejection), None) for row in clips]


@dataclass(frozen=True)
class _Candidate:
    """A row and the encoder of its clip. A clip that may have been cut already has two, and one of them is used."""

    row: ClipRow
    encoder: ClipEncoder


def _read(settings: DecodeSettings, clips: Sequence[ClipRow]) -> Iterator[tuple[ClipRow, StoredCodes | None]]:
    file = settings.root / clips[0].source
    before = _status(file)
    with source.open_audio(file, clips[0].member) as path:
        deadline = Deadline(limit_seconds(settings.limits, clips))
        digest = file_digest(path, deadline)
        candidates, recording = _decode(settings, clips, path, deadline)
        if not clips[0].member and _status(file) != before:
            raise DecodeError("changed", f"{clips[0].source} changed while it was read; ingest it when it is complete")
    levels = dict(zip(_spans_seconds(settings, clips), recording.levels, strict=True))
    for row in clips:
        own = [candidate for candidate in candidates if candidate.row.index == row.index]
        candidate = own[-1 if _is_already_cut(settings, row, recording) else 0]
        decoded = _describe(candidate.row, digest, before, recording)
        yield _clip(settings, decoded, candidate.encoder, levels[_span_seconds(candidate.row)], recording)


def _describe(row: ClipRow, digest: str, status: tuple[int, int], recording: Recording) -> ClipRow:
    return replace(
        row,
        source_digest=digest,
        source_bytes=status[0],
        source_mtime_ns=status[1],
        source_rate_hz=recording.source_rate_hz,
        decoder=f"{recording.decoder}, {pitch_shift.version()}" if row.semitones else recording.decoder,
        decoded_seconds=recording.seconds,
        expected_seconds=recording.expected_seconds,
    )


def _candidate_rows(settings: DecodeSettings, clips: Sequence[ClipRow]) -> Iterator[ClipRow]:
    for row in clips:
        yield row
        if settings.cut_slack_seconds:
            yield replace(row, cut_start_seconds=0.0, cut_seconds=0.0)


def _candidate(settings: DecodeSettings, row: ClipRow) -> _Candidate:
    cut = row.cut_start_seconds, row.cut_seconds
    return _Candidate(row, ClipEncoder(settings.spec, settings.quantizer, *cut, row.bound_frames))


def _is_already_cut(settings: DecodeSettings, row: ClipRow, recording: Recording) -> bool:
    """Return whether the recording is so short that it is the clip itself, already cut."""
    longest_seconds = row.cut_seconds + settings.cut_slack_seconds
    is_short = recording.total_samples <= longest_seconds * settings.spec.sample_rate_hz
    return bool(settings.cut_slack_seconds) and is_short


def _status(file: AudioPath) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise DecodeError("missing", f"{file} is not a regular file")
    return status.st_size, status.st_mtime_ns


def _holds_anything(root: AudioPath) -> bool:
    try:
        return any(root.iterdir())
    except OSError:
        return False


def _decode(
    settings: DecodeSettings, clips: Sequence[ClipRow], path: Path, deadline: Deadline
) -> tuple[list[_Candidate], Recording]:
    """Decode a recording once, and encode all its clips on the way."""
    transpositions = _transpositions(clips)
    stream = StreamSettings(
        settings.spec.sample_rate_hz,
        settings.limits.max_seconds,
        settings.resampler,
        spans_seconds=_spans_seconds(settings, clips),
        transpositions=transpositions,
    )

    def encode(blocks: Iterator[Block]) -> list[_Candidate]:
        """Pass the samples `[T]` of every block to the encoders of the clips with their transposition."""
        candidates = [_candidate(settings, row) for row in _candidate_rows(settings, clips)]
        for block in blocks:
            samples = dict(zip(transpositions, block, strict=True))
            for candidate in candidates:
                candidate.encoder.push(samples[candidate.row.semitones])
        return candidates

    return decode_stream(path, stream, encode, deadline)


def _transpositions(clips: Sequence[ClipRow]) -> list[int]:
    """Return the transpositions of `clips` in semitones, each of them once, the smallest first."""
    return sorted({row.semitones for row in clips}, key=abs)


def _spans_seconds(settings: DecodeSettings, clips: Sequence[ClipRow]) -> list[tuple[float, float]]:
    """Return start and end of each part of the recording that is a clip, once for all its transpositions."""
    return list(dict.fromkeys(_span_seconds(row) for row in _candidate_rows(settings, clips)))


def _span_seconds(row: ClipRow) -> tuple[float, float]:
    stop = row.cut_start_seconds + row.cut_seconds if row.cut_seconds else math.inf
    return row.cut_start_seconds, stop


def _clip(
    settings: DecodeSettings, row: ClipRow, encoder: ClipEncoder, levels: SpanLevels, recording: Recording
) -> tuple[ClipRow, StoredCodes | None]:
    if encoder.is_too_long:
        return replace(row, frames=encoder.frames), None  # stays planned with its true length, and fits next time
    verdict = judge(levels, encoder.levels, recording.stores_floats) if encoder.levels.samples else Verdict()
    silent = encoder.levels.samples > 0 and encoder.levels.peak <= SILENT_PEAK
    if verdict.reason and not (settings.keeps_silence and verdict.reason in KEPT_REASONS):
        return _reject_clip(row, DecodeError(verdict.reason, verdict.detail)), None
    if row.cut_seconds and recording.seconds <= row.cut_start_seconds:
        detail = (
            f"the clip begins at {row.cut_start_seconds:.2f} s, and the recording ends at {recording.seconds:.2f} s"
        )
        return _reject_clip(row, DecodeError("too_short", detail)), None
    try:
        codes, digest = encoder.take()
    except DecodeError as rejection:
        return _reject_clip(row, rejection), None
    warnings = [*_length_warnings(row, recording), *verdict.warnings]
    if verdict.reason == "channels_cancel":
        warnings.append((verdict.reason, verdict.detail))
    written = replace(  # one call for all fields, because each call takes 23 us
        row,
        state="written",
        frames=codes.shape[1],
        silent=silent,
        codes_digest=digest,
        warnings=WARNING_SEPARATOR.join(dict.fromkeys(name for name, _ in warnings)),
        detail=_as_utf8("; ".join(text for _, text in warnings)),
    )
    return written, codes


def _length_warnings(row: ClipRow, recording: Recording) -> Iterator[Warning]:
    """Yield the warnings about the recording that concern this clip. A clip before the missing part is complete."""
    stop = row.cut_start_seconds + row.cut_seconds
    for name, text in recording.warnings:
        if name != "short" or not row.cut_seconds:
            yield name, text
    if row.cut_seconds and recording.seconds < stop - CUT_TOLERANCE_SECONDS:
        text = f"the clip lasts until {stop:.2f} s, but {recording.seconds:.2f} s of the recording could be decoded"
        stated = f" of {recording.expected_seconds:.2f} s" if recording.expected_seconds else ""
        yield "short", text + stated


def _reject_clip(row: ClipRow, rejection: DecodeError) -> ClipRow:
    return replace(row, state="refused", reason=rejection.reason, detail=_as_utf8(rejection.detail))


def _as_utf8(text: str) -> str:
    """Return `text` with escapes for what UTF-8, and so a manifest, cannot hold. Decoders quote any bytes of a file."""
    return text.encode("utf-8", "backslashreplace").decode()
