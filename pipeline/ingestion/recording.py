"""The conversion of one recording to the rows and codes of its clips: read, decode, cut, compute the mel, quantize."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.audio import source
from pipeline.audio.cut import cut
from pipeline.audio.decode import Audio, decode, file_digest
from pipeline.audio.mel import mel_power
from pipeline.audio.remote import AudioPath
from pipeline.ingestion.config import Limits
from stores.digest import codes_digest
from stores.errors import DecodeError, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_flags import DEFAULT_RESAMPLER
from stores.mel_spec import MelSpec
from stores.quantize import Codes, Quantizer

SILENT_PEAK = 2.0**-14
"""Largest sample of a silent clip: two steps of 16 bits, which dither and rounding leave in silence."""
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
    resampler: str = DEFAULT_RESAMPLER
    """Name of the resampler, one of `pipeline.ingestion.config.ResamplerName`."""
    cut_slack_seconds: float = 0.0
    """Seconds by which a recording may be longer than its clip and still be the clip, already cut. 0: never."""


def read(settings: DecodeSettings, clips: Sequence[ClipRow]) -> list[tuple[ClipRow, Codes | None]]:
    """Return the finished rows and the codes of the clips of one recording, which is decoded once.

    The codes are None for a clip that is rejected or that does not fit into its region.

    Args:
        settings: the decode settings.
        clips: rows with the same source and member.

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


def reject(clips: Sequence[ClipRow], rejection: DecodeError) -> list[tuple[ClipRow, Codes | None]]:
    """Return the rows of `clips`, all rejected for the same reason."""
    return [(_reject_clip(row, rejection), None) for row in clips]


def _read(settings: DecodeSettings, clips: Sequence[ClipRow]) -> Iterator[tuple[ClipRow, Codes | None]]:
    file = settings.root / clips[0].source
    before = _status(file)
    with source.open_audio(file, clips[0].member) as path:
        digest = file_digest(path)
        audio = _decode(settings, clips, path)
        if not clips[0].member and _status(file) != before:
            raise DecodeError("changed", f"{clips[0].source} changed while it was read; ingest it when it is complete")
    size, changed_ns = before
    for row in clips:
        decoded = replace(row, source_digest=digest, source_rate_hz=audio.source_rate_hz, decoder=audio.decoder)
        decoded = replace(decoded, source_bytes=size, source_mtime_ns=changed_ns, detail=audio.decoder_warnings)
        yield _clip(settings, _without_cut(settings, decoded, audio), audio)


def _without_cut(settings: DecodeSettings, row: ClipRow, audio: Audio) -> ClipRow:
    """Return `row` without its cut if the recording is so short that it is the clip, already cut."""
    longest_seconds = row.cut_seconds + settings.cut_slack_seconds
    if settings.cut_slack_seconds and audio.total_samples <= longest_seconds * settings.spec.sample_rate_hz:
        return replace(row, cut_start_seconds=0.0, cut_seconds=0.0)
    return row


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


def _decode(settings: DecodeSettings, clips: Sequence[ClipRow], path: Path) -> Audio:
    spec, limits = settings.spec, settings.limits
    keep_seconds = max(row.cut_start_seconds + spec.seconds_for(row.bound_frames) for row in clips)
    return decode(path, spec.sample_rate_hz, limits.max_seconds, limits.decode_seconds, keep_seconds)


def _clip(settings: DecodeSettings, row: ClipRow, audio: Audio) -> tuple[ClipRow, Codes | None]:
    spec = settings.spec
    frames = _needed_frames(row, audio, spec)
    if frames > row.bound_frames:
        return replace(row, frames=frames), None  # stays planned with its true length, and fits in the next round
    samples = cut(audio.samples, spec.sample_rate_hz, row.cut_start_seconds, row.cut_seconds)
    silent = bool(len(samples)) and float(np.abs(samples).max()) <= SILENT_PEAK
    try:
        if silent and not settings.keeps_silence:
            raise DecodeError("silent", f"the largest sample is {np.abs(samples).max():.1e} of full scale")
        codes = settings.quantizer.encode(mel_power(samples, spec))
    except DecodeError as rejection:
        return _reject_clip(row, rejection), None
    written = replace(row, state="written", frames=codes.shape[1], silent=silent, codes_digest=codes_digest(codes))
    return written, codes


def _needed_frames(row: ClipRow, audio: Audio, spec: MelSpec) -> int:
    """Return the frames of a clip that lasts to the end of its recording; 0 for a cut clip, which always fits."""
    if row.cut_seconds:
        return 0
    return spec.frames_for(max(0, audio.total_samples - round(row.cut_start_seconds * spec.sample_rate_hz)))


def _reject_clip(row: ClipRow, rejection: DecodeError) -> ClipRow:
    return replace(row, state="refused", reason=rejection.reason, detail=_as_utf8(rejection.detail))


def _as_utf8(text: str) -> str:
    """Return `text` with escapes for what UTF-8, and so a manifest, cannot hold. Decoders quote any bytes of a file."""
    return text.encode("utf-8", "backslashreplace").decode()
