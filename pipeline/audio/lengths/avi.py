"""The length that an AVI file states: the header of its stream of audio, and the size of the whole file.

ffmpeg computes the length of a cut file from what is left of it. The format is described in "AVI RIFF File Reference"
(Microsoft).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.audio.lengths.statement import Statement

TOLERANCE_SECONDS, TOLERANCE_SHARE = 0.25, 0.002
"""Seconds and share by which the audio of an intact file may be shorter than stated."""
MAX_SECONDS = 1e9
"""Longest length that is believed."""
MAX_LISTS = 100
"""Number of lists and chunks that are read. Those of the first stream of audio are among the first ones."""
MAX_SIZE_BYTES = 0xFFFF0000
"""Size of the whole file from which it means that the writer did not know it."""
_CHUNK = struct.Struct("<4sI")
_STREAM = struct.Struct("<4s16xII4xI")


def is_avi(head: bytes) -> bool:
    """Return whether `head` begins an AVI file."""
    return head[:4] == b"RIFF" and head[8:12] == b"AVI "


def read_statement(file: BinaryIO, size_bytes: int, head: bytes) -> Statement | None:
    """Return the statement of an AVI file, or None if it states nothing of its audio.

    Args:
        file: the open file.
        size_bytes: size of the file in bytes.
        head: the first bytes of the file, for which `is_avi` is true.
    """
    stated_bytes = int.from_bytes(head[4:8], "little") + _CHUNK.size
    seconds = next(_audio_seconds(file, size_bytes), 0.0)
    if not _CHUNK.size < stated_bytes < MAX_SIZE_BYTES:
        return Statement(knows_length=False)
    if not 0 < seconds < MAX_SECONDS:
        return None
    place = "before the end that its header states" if size_bytes < stated_bytes else ""
    return Statement(seconds, TOLERANCE_SECONDS + TOLERANCE_SHARE * seconds, "the header states", breaks_off=place)


def _audio_seconds(file: BinaryIO, size_bytes: int) -> Iterator[float]:
    """Yield the lengths of the streams of audio. The header of a stream is in a list in the list of headers."""
    position = 12
    for _ in range(MAX_LISTS):
        file.seek(position)
        header = file.read(_CHUNK.size)
        if len(header) < _CHUNK.size or position >= size_bytes:
            return
        name, chunk_bytes = _CHUNK.unpack(header)
        content = file.read(_STREAM.size).ljust(_STREAM.size, b"\0")
        if name == b"LIST" and content[:4] in (b"hdrl", b"strl"):
            position += 12
            continue
        if name == b"LIST" and content[:4] == b"movi":
            return
        if name == b"strh" and content[:4] == b"auds":
            _, scale, rate, count = _STREAM.unpack(content)
            yield count * scale / rate if rate else 0.0
        position += _CHUNK.size + chunk_bytes + (chunk_bytes & 1)
