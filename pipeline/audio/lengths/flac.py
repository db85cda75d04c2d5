"""The length of a FLAC file: the total of STREAMINFO, and the position of the last frame, which states it too.

The format is RFC 9639. Each frame begins with the number of its first sample (or its own number), so the last frame
tells where the audio ends, whatever STREAMINFO states. Only the end of the file is read for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

from pipeline.audio.lengths import tags
from pipeline.audio.lengths.statement import Statement

MAGIC = b"fLaC"
TAIL_BYTES = 1 << 16
"""Bytes at the end that are searched for the last frame if STREAMINFO does not state the largest frame."""
MAX_TAIL_BYTES = 1 << 22
"""Largest tail that is searched: twice the largest frame of eight channels of 24 bits with 65,535 samples each."""
MAX_CANDIDATES = 10_000
"""Places in the tail that look like a frame and are tried. Intact audio has one in 65,536 bytes."""
MAX_METADATA_BLOCKS = 1_000
MIN_ZEROS = 4
"""Number of zeros at the end that are padding. Fewer can belong to the last frame."""
_CHECKSUM_BYTES = 2
_HEADER_BYTES = 16
_BLOCK_SIZES = (0, 192, 576, 1_152, 2_304, 4_608, 0, 0, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768)


@dataclass(frozen=True)
class _Frame:
    position: int
    """Number of the first sample of a frame, or the number of the frame if all frames have the same length."""
    samples: int
    """Number of samples in the frame."""


def read_statement(file: BinaryIO, size_bytes: int, start: int) -> Statement | None:
    """Return the statement of a FLAC file, or None if STREAMINFO cannot be read.

    Args:
        file: the open file.
        size_bytes: size of the file in bytes.
        start: position of `MAGIC` in the file.
    """
    file.seek(start)
    info = file.read(42)
    rate_hz = int.from_bytes(info[18:21], "big") >> 4
    if len(info) < 42 or info[:4] != MAGIC or info[4] & 0x7F or not rate_hz:
        return None
    total, max_frame_bytes = int.from_bytes(info[21:26], "big") & (1 << 36) - 1, int.from_bytes(info[15:18], "big")
    end = _without_zeros(file, start, tags.end_of_audio(file, start, size_bytes))
    counted = _counted_samples(file, end, start, min(2 * max_frame_bytes or TAIL_BYTES, MAX_TAIL_BYTES))
    seconds = max(total, counted or 0) / rate_hz
    return Statement(
        seconds=seconds,
        origin="STREAMINFO states" if total >= (counted or 0) else "the last frame states",
        is_regular=counted is not None and total in (0, counted) and end == size_bytes,
        links=((start, end),),
    )


def _without_zeros(file: BinaryIO, start: int, end: int) -> int:
    """Return the position at which zeros begin that reach to `end`. The last frame may end with two zeros itself."""
    first = max(start, end - MAX_TAIL_BYTES)
    file.seek(max(first, end - MIN_ZEROS))
    if any(file.read(MIN_ZEROS)):
        return end
    file.seek(first)
    return min(end, first + len(file.read(end - first).rstrip(b"\0")) + _CHECKSUM_BYTES)


def _counted_samples(file: BinaryIO, size_bytes: int, start: int, tail_bytes: int) -> int | None:
    """Return the number of samples up to the end of the last frame, or None if it cannot be found."""
    audio = _skip_metadata(file, start)
    if audio is None:
        return None
    file.seek(audio)
    first_header = file.read(_HEADER_BYTES)
    first = _parse(first_header, first_header) if len(first_header) == _HEADER_BYTES else None
    if first is None:
        return None
    tail_start = max(audio, size_bytes - tail_bytes)
    file.seek(tail_start)
    last = _last_frame(file.read(size_bytes - tail_start), first_header)
    if last is None:
        return None
    has_fixed_length = not first_header[1] & 1
    return last.position * (first.samples if has_fixed_length else 1) + last.samples


def _skip_metadata(file: BinaryIO, start: int) -> int | None:
    position = start + 4
    for _ in range(MAX_METADATA_BLOCKS):
        file.seek(position)
        header = file.read(4)
        if len(header) < 4:
            return None
        position += 4 + int.from_bytes(header[1:], "big")
        if header[0] & 0x80:
            return position
    return None


def _last_frame(tail: bytes, first_header: bytes) -> _Frame | None:
    position = len(tail)
    for _ in range(MAX_CANDIDATES):
        position = tail.rfind(first_header[:2], 0, position)
        if position < 0:
            return None
        if frame := _parse(tail[position : position + _HEADER_BYTES], first_header):
            return frame
    return None


def _parse(header: bytes, first_header: bytes) -> _Frame | None:
    """Return the frame with this header, or None if it is not a header or its fixed fields differ from the first."""
    is_frame = len(header) >= 8 and header[0] == 0xFF and header[1] & 0xFE == 0xF8 and header[3] & 1 == 0
    if not is_frame or header[2] & 15 != first_header[2] & 15 or header[3] & 14 != first_header[3] & 14:
        return None
    number = _read_number(header[4:])
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
    return _Frame(position, samples)


def _read_number(content: bytes) -> tuple[int, int] | None:
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
