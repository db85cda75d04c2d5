"""The length of a VOC file, from a walk over its blocks, each of which states its size.

The first format is that of Creative Labs. Blocks of type 9 are of its later version, which has any number of bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

from pipeline.audio.lengths import tags
from pipeline.audio.lengths.statement import Statement

MAGIC = b"Creative Voice File\x1a"
MAX_BLOCKS = 1_000_000
"""Number of blocks that are counted. ffmpeg writes one for each 4 KiB."""
MAX_TRAILING_BYTES, BLOCK_BYTES = 64, 1 << 16
"""Bytes behind the last block that are ignored, and bytes that are searched for anything but zeros."""
TOLERANCE_SECONDS = 0.25
_TERMINATOR, _SOUND, _CONTINUATION, _SILENCE, _EXTENDED, _NEW_SOUND = 0, 1, 2, 3, 8, 9
_NEW_HEADER = struct.Struct("<IBBH")
_NEW_HEADER_BYTES = 12
_HEAD_BYTES = 16


class _Walk:
    """A walk over the blocks of a file.

    Attributes:
        seconds: length of the audio of all blocks.
        bytes_per_second: bytes of audio in a second, or 0 if no block has stated them.
    """

    def __init__(self) -> None:
        self.seconds = self.bytes_per_second = 0.0
        self._extended_rate = 0.0

    def add(self, kind: int, size_bytes: int, head: bytes) -> None:
        """Add a block, of whose content `head` is the first bytes."""
        if kind == _SOUND:
            self.bytes_per_second = self._extended_rate or 1e6 / (256 - head[0])
            self._extended_rate, size_bytes = 0.0, size_bytes - 2
        elif kind == _NEW_SOUND:
            rate_hz, bits, channels, _ = _NEW_HEADER.unpack_from(head)
            self.bytes_per_second, size_bytes = rate_hz * bits * channels / 8, size_bytes - _NEW_HEADER_BYTES
        elif kind == _EXTENDED:  # of the next block: a divisor for all channels together
            self._extended_rate = 256e6 / (65_536 - int.from_bytes(head[:2], "little"))
        elif kind == _SILENCE:
            self.seconds += (1 + int.from_bytes(head[:2], "little")) * (256 - head[2]) / 1e6
        if kind in (_SOUND, _CONTINUATION, _NEW_SOUND) and self.bytes_per_second:
            self.seconds += max(0, size_bytes) / self.bytes_per_second


def read_statement(file: BinaryIO, size_bytes: int, check_deadline: Callable[[], None]) -> Statement:
    """Return the statement of a VOC file.

    Args:
        file: the open file, which begins with `MAGIC`.
        size_bytes: size of the file in bytes.
        check_deadline: called now and then; raises an error if no time remains.
    """
    file.seek(len(MAGIC))
    position, walk = int.from_bytes(file.read(2), "little"), _Walk()
    for number in range(MAX_BLOCKS):
        if not number % 1_000:
            check_deadline()
        file.seek(position)
        block = file.read(4 + _HEAD_BYTES)
        if len(block) < 4 or block[0] == _TERMINATOR:
            break
        block_bytes = int.from_bytes(block[1:4], "little")
        walk.add(block[0], block_bytes, block[4:].ljust(_HEAD_BYTES, b"\0"))
        position += 4 + block_bytes
    return Statement(
        walk.seconds,
        TOLERANCE_SECONDS,
        "the blocks state",
        breaks_off="inside a block" if position > size_bytes else "",
        damage=_damage(file, position + 1, size_bytes),
    )


def _damage(file: BinaryIO, end: int, size_bytes: int) -> str:
    """Return a message about bytes behind the last block. Zeros and tags are none."""
    end_of_audio = tags.end_of_audio(file, min(end, size_bytes), size_bytes)
    file.seek(end)
    if end_of_audio - end <= MAX_TRAILING_BYTES or not any(file.read(BLOCK_BYTES)):
        return ""
    return f"the last {end_of_audio - end} bytes are behind the end that the blocks state"
