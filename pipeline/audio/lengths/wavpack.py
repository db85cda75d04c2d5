"""The end of the audio in a WavPack file: its blocks are counted up to the number of samples that the first one states.

Tags behind the last block look like a damaged block to ffmpeg. The format is described in "WavPack 4 & 5 Binary
File / Block Format" (wavpack.com).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from pipeline.audio.lengths.statement import Statement

MAGIC = b"wvpk"
MAX_BLOCKS = 1_000_000
"""Number of blocks that are counted. A block is half a second, and several make it up in a file of many channels."""
_HEADER = struct.Struct("<4sIHBBIIII")
_SIZE_OFFSET = 8
"""The size of a block does not count its first 8 bytes."""


def read_statement(file: BinaryIO, size_bytes: int) -> Statement | None:
    """Return where the tags begin, or None if there are none, or if blocks are missing before them.

    Args:
        file: the open file, which begins with `MAGIC`.
        size_bytes: size of the file in bytes.
    """
    position, total, samples = 0, None, 0
    for _ in range(MAX_BLOCKS):
        file.seek(position)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size or not header.startswith(MAGIC):
            break
        _, size, _, index_high, total_high, total_low, index, block_samples, _ = _HEADER.unpack(header)
        total = total_low + (total_high << 32) if total is None else total
        samples = max(samples, index + (index_high << 32) + block_samples)
        position += size + _SIZE_OFFSET
    is_complete = total is not None and samples == total and position < size_bytes
    return Statement(audio_end=position) if is_complete else None
