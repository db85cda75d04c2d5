"""The length that an ASF file (WMA, WMV) states: its header has the time of playing and the size of the whole file.

ffmpeg estimates the length of a cut file from its bytes, so it cannot tell that it was cut. The format is described in
"Advanced Systems Format (ASF) Specification" (Microsoft), section 3.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.audio.lengths.statement import Statement

MAGIC = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
TOLERANCE_SECONDS, TOLERANCE_SHARE = 0.25, 0.002
"""Seconds and share by which the audio of an intact file may be shorter than the time of playing."""
MAX_SECONDS = 1e9
"""Longest time of playing that is believed."""
MAX_OBJECTS = 100
"""Number of objects of the header that are read."""
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_STREAM_PROPERTIES = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_FIELDS = struct.Struct("<16xQ8x8xQ8xQI")
_OBJECT = struct.Struct("<16sQ")
_HEADER_BYTES = _OBJECT.size + 6
_IS_BROADCAST = 1


def read_statement(file: BinaryIO, size_bytes: int) -> Statement | None:
    """Return the statement of an ASF file, or None if it states nothing.

    Args:
        file: the open file, which begins with `MAGIC`.
        size_bytes: size of the file in bytes.
    """
    objects = list(_objects(file, size_bytes))
    properties = next((content for name, content in objects if name == _FILE_PROPERTIES), b"")
    has_video = any(name == _STREAM_PROPERTIES and content.startswith(_VIDEO) for name, content in objects)
    return _statement(properties, size_bytes, has_video) if len(properties) == _FIELDS.size else None


def _objects(file: BinaryIO, size_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the first bytes of each object of the header."""
    file.seek(_OBJECT.size)
    count, position = int.from_bytes(file.read(4), "little"), _HEADER_BYTES
    for _ in range(min(count, MAX_OBJECTS)):
        file.seek(position)
        header = file.read(_OBJECT.size)
        if len(header) < _OBJECT.size:
            return
        name, object_bytes = _OBJECT.unpack(header)
        yield name, file.read(_FIELDS.size)
        position += max(object_bytes, _OBJECT.size)
        if position >= size_bytes:
            return


def _statement(properties: bytes, size_bytes: int, has_video: bool) -> Statement | None:
    """Return the statement of the properties of the file. A writer to a pipe knows neither length nor size.

    With video, the time is that of the longer stream, which need not be the audio.
    """
    file_bytes, play_100_ns, preroll_ms, flags = _FIELDS.unpack(properties)
    seconds = play_100_ns / 1e7 - preroll_ms / 1e3
    if flags & _IS_BROADCAST or not 0 < seconds < MAX_SECONDS:
        return None
    return Statement(
        0.0 if has_video else seconds,
        TOLERANCE_SECONDS + TOLERANCE_SHARE * seconds,
        "the header states",
        breaks_off="before the end that its header states" if size_bytes < file_bytes else "",
    )
