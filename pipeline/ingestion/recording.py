"""One recording -> the rows and codes of its clips: read, decode, cut, mel, quantise, or refuse with a reason."""

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
from pipeline.ingestion.plan import Limits
from stores.digest import codes_digest
from stores.errors import DecodeError, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Codes, Quantizer

SILENT_PEAK = 2.0**-14
"""Two steps of 16 bits: what dither and rounding leave of nothing."""
MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""What the machine lacks; no file is to blame for it."""


@dataclass(frozen=True)
class DecodeSettings:
    """How recordings are read: the same for all of a store."""

    root: Path
    """What the rows' sources are relative to."""
    spec: MelSpec
    """What the mel is."""
    quantizer: Quantizer
    """How it is stored."""
    limits: Limits
    """What one track may cost."""
    keeps_silence: bool = False
    """Store silent clips; otherwise they are refused."""


def read(reading: DecodeSettings, clips: Sequence[ClipRow]) -> list[tuple[ClipRow, Codes | None]]:
    """What became of the clips of one recording, which is decoded once.

    Args:
        reading: how.
        clips: rows with the same source and member.

    Raises:
        MissingArtifact: the whole root is gone or empty: a disk that was unplugged is no reason to refuse its files.
        OSError: the machine is out of something (`MACHINE_ERRORS`).
    """
    try:
        return list(_read(reading, clips))
    except DecodeError as refusal:
        if refusal.reason == "missing" and not _holds_anything(reading.root):
            raise MissingArtifact(
                f"{reading.root} is gone or empty now; mount it again, then start the same command again"
            ) from refusal
        return refused(clips, refusal)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
            raise
        return refused(clips, DecodeError("crashed", f"{type(error).__name__}: {error}"))


def refused(clips: Sequence[ClipRow], refusal: DecodeError) -> list[tuple[ClipRow, Codes | None]]:
    """All of `clips` refused for one reason."""
    return [(_refused(row, refusal), None) for row in clips]


def _read(reading: DecodeSettings, clips: Sequence[ClipRow]) -> Iterator[tuple[ClipRow, Codes | None]]:
    file = reading.root / clips[0].source
    before = _status(file)
    with source.opened(file, clips[0].member) as path:
        digest = file_digest(path)
        audio = _decoded(reading, clips, path)
        if not clips[0].member and _status(file) != before:
            raise DecodeError("changed", f"{clips[0].source} changed while it was read; ingest it when it is complete")
    size, changed_ns = before
    for row in clips:
        facts = replace(row, source_digest=digest, source_rate_hz=audio.source_rate_hz, decoder=audio.decoder)
        facts = replace(facts, source_bytes=size, source_mtime_ns=changed_ns, detail=audio.complaints)
        yield _clip(reading, facts, audio)


def _status(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise DecodeError("missing", f"{file} is not a regular file")
    return status.st_size, status.st_mtime_ns


def _holds_anything(root: Path) -> bool:
    try:
        return any(root.iterdir())
    except OSError:
        return False


def _decoded(reading: DecodeSettings, clips: Sequence[ClipRow], path: Path) -> Audio:
    spec, limits = reading.spec, reading.limits
    keep_seconds = max(row.cut_start_seconds + spec.seconds_for(row.bound_frames) for row in clips)
    return decode(path, spec.sample_rate_hz, limits.max_seconds, limits.decode_seconds, keep_seconds)


def _clip(reading: DecodeSettings, row: ClipRow, audio: Audio) -> tuple[ClipRow, Codes | None]:
    spec = reading.spec
    frames = _needed_frames(row, audio, spec)
    if frames > row.bound_frames:
        return replace(row, frames=frames), None  # it stays planned, with its true length: the next round has room
    samples = cut(audio.samples, spec.sample_rate_hz, row.cut_start_seconds, row.cut_seconds)
    silent = bool(len(samples)) and float(np.abs(samples).max()) <= SILENT_PEAK
    try:
        if silent and not reading.keeps_silence:
            raise DecodeError("silent", f"the largest sample is {np.abs(samples).max():.1e} of full scale")
        codes = reading.quantizer.encode(mel_power(samples, spec))
    except DecodeError as refusal:
        return _refused(row, refusal), None
    written = replace(row, state="written", frames=codes.shape[1], silent=silent, codes_digest=codes_digest(codes))
    return written, codes


def _needed_frames(row: ClipRow, audio: Audio, spec: MelSpec) -> int:
    """Frames of a clip without an end; one with an end never needs more than it was planned with."""
    if row.cut_seconds:
        return 0
    return spec.frames_for(max(0, audio.total_samples - round(row.cut_start_seconds * spec.sample_rate_hz)))


def _refused(row: ClipRow, refusal: DecodeError) -> ClipRow:
    return replace(row, state="refused", reason=refusal.reason, detail=_printable(refusal.detail))


def _printable(text: str) -> str:
    """Text that a manifest can hold, whatever a decoder quoted from a file."""
    return text.encode("utf-8", "backslashreplace").decode()
