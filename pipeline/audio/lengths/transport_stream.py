"""The packets of an MPEG transport stream, which have the same size, so that a file that was cut ends inside one.

The stream states no length. Files of Blu-ray (M2TS) have a time of 4 bytes before each packet.
"""

from __future__ import annotations

from typing import BinaryIO

from pipeline.audio.lengths.statement import Statement

SYNC = 0x47
_LAYOUTS = ((188, 0), (192, 4))
"""Distance of packets in bytes, and the offset of their first byte."""
_COMPARED_PACKETS = 5


def read_statement(file: BinaryIO, size_bytes: int) -> Statement | None:
    """Return the statement of a transport stream, or None if the file is none or ends with a whole packet.

    Args:
        file: the open file.
        size_bytes: size of the file in bytes.
    """
    file.seek(0)
    head = file.read(_COMPARED_PACKETS * _LAYOUTS[-1][0])
    for packet_bytes, offset in _LAYOUTS:
        starts = head[offset : _COMPARED_PACKETS * packet_bytes : packet_bytes]
        if starts == bytes([SYNC]) * _COMPARED_PACKETS:
            return Statement(breaks_off="inside its last packet") if size_bytes % packet_bytes else None
    return None
