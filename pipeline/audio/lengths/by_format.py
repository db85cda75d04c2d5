"""The choice of the reader of statements by the first bytes of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from pipeline.audio.lengths import (
    adts,
    asf,
    avi,
    chunks,
    flac,
    flac_frame,
    mpeg,
    ogg,
    second_file,
    tags,
    transport_stream,
    voc,
    wavpack,
)
from pipeline.audio.lengths.statement import Statement

HEAD_BYTES = 64


def read_statement(path: Path, check_deadline: Callable[[], None]) -> Statement:
    """Return what the file at `path` states about the length of its audio. It is empty for formats of ffmpeg only.

    Args:
        path: the audio file. Its first bytes determine the format.
        check_deadline: called now and then; raises an error if no time remains.

    Raises:
        OSError: from the file system.
    """
    with path.open("rb", buffering=0) as file:
        size_bytes = path.stat().st_size
        return _read(file, size_bytes, file.read(HEAD_BYTES), check_deadline) or Statement()


def _read(file: BinaryIO, size_bytes: int, head: bytes, check_deadline: Callable[[], None]) -> Statement | None:
    if head.startswith(ogg.MAGIC):
        return ogg.read_statement(file, size_bytes, check_deadline)
    if head.startswith(b"\xff"):
        return _read_frames(file, size_bytes, 0, check_deadline)
    if head.startswith((b"ID3", flac_frame.MAGIC)):
        start = mpeg.skip_id3(file)
        file.seek(start)
        is_flac = file.read(4) == flac_frame.MAGIC
        if is_flac:
            return flac.read_statement(file, size_bytes, start, check_deadline)
        return _read_frames(file, size_bytes, start, check_deadline)
    if head.startswith(wavpack.MAGIC):
        return wavpack.read_statement(file, size_bytes, check_deadline)
    statement = _read_header(file, size_bytes, head, check_deadline) or _before_tags(file, size_bytes) or Statement()
    if not statement.damage and (position := second_file.find(file, head, check_deadline)):
        return replace(statement, damage=f"another file begins at byte {position} and is not read")
    return statement


def _read_frames(file: BinaryIO, size_bytes: int, start: int, check_deadline: Callable[[], None]) -> Statement | None:
    """Return the statement of a file that consists of frames: MP3, MP2 or AAC in ADTS."""
    return (
        mpeg.read_statement(file, size_bytes, start, check_deadline)
        or adts.read_statement(file, size_bytes, start, check_deadline)
        or _before_tags(file, size_bytes)
    )


def _read_header(file: BinaryIO, size_bytes: int, head: bytes, check_deadline: Callable[[], None]) -> Statement | None:
    if head.startswith(asf.MAGIC):
        return asf.read_statement(file, size_bytes)
    if head.startswith(voc.MAGIC):
        return voc.read_statement(file, size_bytes, check_deadline)
    if avi.is_avi(head):
        return avi.read_statement(file, size_bytes, head)
    return chunks.read_statement(file, size_bytes, head) or transport_stream.read_statement(file, size_bytes)


def _before_tags(file: BinaryIO, size_bytes: int) -> Statement | None:
    """Return the statement of a file of a format of ffmpeg only, which tells where the tags at its end begin."""
    end = tags.end_of_audio(file, 0, size_bytes)
    return Statement(audio_end=end) if 0 < end < size_bytes else None
