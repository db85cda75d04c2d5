"""The length of a WavPack file: its blocks are counted up to the number of samples that the first one states.

Tags behind the last block look like a damaged block to ffmpeg, which also stops at a second file. The format is
described in "WavPack 4 & 5 Binary File / Block Format" (wavpack.com).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.audio.lengths import mpeg
from pipeline.audio.lengths.statement import Statement

MAGIC = b"wvpk"
MAX_BLOCKS = 1_000_000
"""Number of blocks that are counted. A block is half a second, and several make it up in a file of many channels."""
_HEADER = struct.Struct("<4sIHBBIIIII")
_SIZE_OFFSET = 8
"""The size of a block does not count its first 8 bytes."""
_RATES_HZ = (
    *(6_000, 8_000, 9_600, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000),
    *(88_200, 96_000, 192_000, 0),
)
"""Sample rates by their number in a block. The last number says that the rate is another one."""
_IS_DSD = 1 << 31
_UNKNOWN_SAMPLES = 0xFFFFFFFF


@dataclass(frozen=True)
class _Blocks:
    """The blocks of one file from its first one on."""

    end: int
    """Position after the last block."""
    total: int
    """Number of samples that the first block states, or 0 if it does not know them."""
    samples: int
    """Number of samples of all blocks."""
    rate_hz: int
    """Sample rate in Hz, or 0 if it is none of the usual ones."""

    @property
    def is_complete(self) -> bool:
        """True if no block at the end is missing."""
        return self.samples == self.total


def read_statement(file: BinaryIO, size_bytes: int, check_deadline: Callable[[], None]) -> Statement | None:
    """Return the length, and where the tags begin, or None if blocks are missing or the rate is unknown.

    ffmpeg names the damage of a file with missing blocks, and compares it with the number of samples.

    Args:
        file: the open file, which begins with `MAGIC`.
        size_bytes: size of the file in bytes.
        check_deadline: called now and then; raises an error if no time remains.
    """
    first = _walk(file, 0, check_deadline)
    if not first.is_complete or first.end >= size_bytes:
        return None
    second_start = mpeg.skip_tags(file, first.end)
    second = _walk(file, second_start, check_deadline)
    if second.end == second_start or not first.rate_hz:
        return Statement(audio_end=first.end)
    seconds = (first.total + second.samples) / first.rate_hz
    return Statement(seconds, origin="the blocks of two files hold", audio_end=first.end)


def _walk(file: BinaryIO, position: int, check_deadline: Callable[[], None]) -> _Blocks:
    """Return the blocks from `position` on, up to those of another file."""
    total, samples, rate_hz = 0, 0, 0
    for number in range(MAX_BLOCKS):
        if not number % 1_000:
            check_deadline()
        file.seek(position)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size or not header.startswith(MAGIC):
            break
        _, size, _, index_high, total_high, total_low, index, block_samples, flags, _ = _HEADER.unpack(header)
        index += index_high << 32
        if not number:
            total = 0 if total_low == _UNKNOWN_SAMPLES else total_low + (total_high << 32)
            rate_hz = _RATES_HZ[flags >> 23 & 15] if not flags & _IS_DSD else 0
        elif index == 0 and samples >= total > 0 and block_samples:
            break
        samples = max(samples, index + block_samples)
        position += size + _SIZE_OFFSET
    return _Blocks(position, total, samples, rate_hz)
