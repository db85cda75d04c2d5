"""Headers of FLAC frames, by RFC 9639, and the walk over the numbers of all frames of a file.

Each frame states its own number or that of its first sample. Where the numbers do not follow one another, frames are
missing, repeated or in the wrong order. No decoder reports this, and libFLAC puts silence in place of missing frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import BinaryIO

MAGIC = b"fLaC"
HEADER_BYTES = 16
"""Bytes that hold the longest header of a frame."""
BLOCK_BYTES = 1 << 20
"""Bytes that are searched at once."""
MAX_METADATA_BYTES = 1 << 26
"""Bytes between two frames that are searched for the start of another file that was joined on."""
MAX_JUMPS = 100
"""Jumps after which the walk stops. A hostile file could have one every six bytes."""
_BLOCK_SIZES = (0, 192, 576, 1_152, 2_304, 4_608, 0, 0, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768)

_RATES_HZ = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 0, 0, 0, 0)
"""Sample rates by their code in a header. The others are written out in full, or left to STREAMINFO."""


@dataclass(frozen=True)
class Frame:
    """The header of a frame."""

    position: int
    """Number of the first sample of a frame, or the number of the frame if all frames have the same length."""
    samples: int
    """Number of samples in the frame."""


@dataclass(frozen=True)
class Jump:
    """A frame that does not follow the frame before it."""

    expected: int
    """The number that would follow, of a frame or of its first sample."""
    number: int
    """The number that the frame states."""


def rate_hz(header: bytes) -> int:
    """Return the sample rate in Hz that the header of a frame states, or 0 if it is none of the usual ones."""
    return _RATES_HZ[header[2] & 15] if len(header) > 2 else 0


def has_fixed_length(header: bytes) -> bool:
    """Return whether all frames of a file, but for the last one, have the same length, by the header of one of them."""
    return not header[1] & 1


def find_jumps(
    file: BinaryIO, start: int, end: int, min_frame_bytes: int, check_deadline: Callable[[], None]
) -> list[Jump]:
    """Return the places of a FLAC file at which a frame does not follow the frame before it, at most `MAX_JUMPS`.

    Args:
        file: the open file.
        start: position of the first frame in bytes.
        end: end of the audio in bytes.
        min_frame_bytes: size of the smallest frame by STREAMINFO, or 0. It saves most of the search.
        check_deadline: called between blocks; raises an error if no time remains.
    """
    for step_bytes in (min_frame_bytes, 0) if min_frame_bytes else (0,):  # STREAMINFO may be wrong
        jumps = list(islice(_jumps(file, start, end, step_bytes, check_deadline), MAX_JUMPS))
        if not jumps:
            break
    return jumps


def _jumps(
    file: BinaryIO, start: int, end: int, min_frame_bytes: int, check_deadline: Callable[[], None]
) -> Iterator[Jump]:
    file.seek(start)
    first = file.read(HEADER_BYTES)
    is_fixed, expected, before = has_fixed_length(first), -1, start
    for place, header in _candidates(file, start, end, first[: 2 + is_fixed], min_frame_bytes, check_deadline):
        number = read_number(header[4:]) if is_fixed else None
        if number is None or number[0] != expected:  # a frame that follows needs no checksum
            frame = parse(header, first)
            if frame is None:
                continue
            if expected not in (-1, frame.position) and not (frame.position == 0 and _is_joined(file, before, place)):
                yield Jump(expected, frame.position)
            expected = frame.position if is_fixed else frame.position + frame.samples - 1
        expected, before = expected + 1, place


def _candidates(
    file: BinaryIO, start: int, end: int, needle: bytes, min_frame_bytes: int, check_deadline: Callable[[], None]
) -> Iterator[tuple[int, bytes]]:
    """Yield position and header of each place that looks like a frame. Its first bytes are those of all frames."""
    step = max(len(needle), min_frame_bytes)
    while start < end:
        check_deadline()
        file.seek(start)
        block = file.read(min(BLOCK_BYTES, end - start))
        is_last = start + len(block) >= end or not block
        stop, offset = len(block) - (0 if is_last else HEADER_BYTES), 0
        while 0 <= (found := block.find(needle, offset)) < stop:
            yield start + found, block[found : found + HEADER_BYTES]
            offset = found + step
        start = end if is_last else start + max(offset, stop)


def _is_joined(file: BinaryIO, start: int, end: int) -> bool:
    """Return whether another file begins between two frames."""
    file.seek(start)
    return MAGIC in file.read(min(end - start, MAX_METADATA_BYTES))


def parse(header: bytes, first_header: bytes) -> Frame | None:
    """Return the frame with this header, or None if it is not a header or its fixed fields differ from the first."""
    is_frame = len(header) >= 8 and header[0] == 0xFF and header[1] & 0xFE == 0xF8 and header[3] & 1 == 0
    if not is_frame or header[2] & 15 != first_header[2] & 15 or header[3] & 14 != first_header[3] & 14:
        return None
    number = read_number(header[4:])
    if number is None:
        return None
    position, end = number[0], 4 + number[1]
    code, rate_code = header[2] >> 4, header[2] & 15
    samples = _BLOCK_SIZES[code]
    if code in (6, 7):
        samples = int.from_bytes(header[end : end + code - 5], "big") + 1
        end += code - 5
    end += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if not samples or end >= len(header) or _crc8(header[:end]) != header[end]:
        return None
    return Frame(position, samples)


def read_number(content: bytes) -> tuple[int, int] | None:
    """Return a number in the extended UTF-8 of FLAC and its length in bytes, or None if it is malformed."""
    first = content[0]
    extra = 0 if first < 0x80 else 7 - (~first & 0xFF).bit_length()
    if (first >= 0x80 and not 1 <= extra <= 6) or len(content) <= extra:
        return None
    number = first if not extra else first & (0x3F >> extra)
    for byte in content[1 : 1 + extra]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    return number, 1 + extra


def _crc8(content: bytes) -> int:
    value, table = 0, _crc8_table()
    for byte in content:
        value = table[value ^ byte]
    return value


@cache
def _crc8_table() -> bytes:
    """Return the table of CRC-8 with the polynomial x^8 + x^2 + x + 1."""
    table = bytearray(range(256))
    for _ in range(8):
        table = bytearray((value << 1 ^ 7 * (value >> 7)) & 0xFF for value in table)
    return bytes(table)
