"""The search for another file behind the first one, in formats that ffmpeg reads to the end of the first file only."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from pipeline.audio.lengths import asf, voc

BLOCK_BYTES = 1 << 20
_FLV = b"FLV\x01%c\0\0\0\x09\0\0\0\0"
_MAGICS = (asf.MAGIC, voc.MAGIC, b"TTA1\x01\0", b"caff\0\1\0\0desc", _FLV % 4, _FLV % 5)
"""First bytes of files, which are so many that they do not occur in audio by chance."""


def find(file: BinaryIO, head: bytes, check_deadline: Callable[[], None]) -> int:
    """Return the position of another file with the first bytes of this one, or 0 if there is none.

    Args:
        file: the open file.
        head: the first bytes of the file.
        check_deadline: called between blocks; raises an error if no time remains.
    """
    magic = next((magic for magic in _MAGICS if head.startswith(magic)), b"")
    position = len(magic)
    while magic:
        check_deadline()
        file.seek(position)
        block = file.read(BLOCK_BYTES)
        if (offset := block.find(magic)) >= 0:
            return position + offset
        if len(block) < BLOCK_BYTES:
            break
        position += BLOCK_BYTES - len(magic)
    return 0
