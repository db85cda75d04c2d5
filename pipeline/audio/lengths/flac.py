"""The length of a FLAC file: the total of STREAMINFO, and the position of the last frame, which states it too.

The format is RFC 9639. Each frame begins with the number of its first sample (or its own number), so the last frame
tells where the audio ends, whatever STREAMINFO states. Frames that do not follow one another are damage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO

from pipeline.audio.lengths import flac_frame, tags
from pipeline.audio.lengths.flac_frame import HEADER_BYTES, MAGIC, Frame, Jump
from pipeline.audio.lengths.statement import Statement

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


def read_statement(file: BinaryIO, size_bytes: int, start: int, check_deadline: Callable[[], None]) -> Statement | None:
    """Return the statement of a FLAC file, or None if STREAMINFO cannot be read.

    Args:
        file: the open file.
        size_bytes: size of the file in bytes.
        start: position of `MAGIC` in the file.
        check_deadline: called between blocks; raises an error if no time remains.
    """
    file.seek(start)
    info = file.read(42)
    rate_hz = int.from_bytes(info[18:21], "big") >> 4
    if len(info) < 42 or info[:4] != MAGIC or info[4] & 0x7F or not rate_hz:
        return None
    total, max_frame_bytes = int.from_bytes(info[21:26], "big") & (1 << 36) - 1, int.from_bytes(info[15:18], "big")
    end = _without_zeros(file, start, tags.end_of_audio(file, start, size_bytes))
    audio = _skip_metadata(file, start)
    first_header = _first_header(file, audio)
    counted = _counted_samples(file, end, audio, first_header, min(2 * max_frame_bytes or TAIL_BYTES, MAX_TAIL_BYTES))
    min_frame_bytes = int.from_bytes(info[12:15], "big")
    jumps = flac_frame.find_jumps(file, audio, end, min_frame_bytes, check_deadline) if first_header else []
    frame_rate_hz = flac_frame.rate_hz(first_header) or rate_hz
    seconds = max(total, counted or 0) / frame_rate_hz
    is_as_stated = total in (0, counted) and frame_rate_hz == rate_hz
    return Statement(
        seconds=seconds,
        origin="STREAMINFO states" if total >= (counted or 0) else "the last frame states",
        is_regular=counted is not None and is_as_stated and end == size_bytes and not jumps,
        damage=_damage(jumps),
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


def _damage(jumps: Sequence[Jump]) -> str:
    if not jumps:
        return ""
    places = "1 place" if len(jumps) == 1 else f"{len(jumps)} places"
    places = f"{places} or more" if len(jumps) == flac_frame.MAX_JUMPS else places
    first = f"number {jumps[0].number} stands where {jumps[0].expected} should follow"
    return f"frames are missing, repeated or out of order at {places}: {first}"


def _first_header(file: BinaryIO, audio: int) -> bytes:
    """Return the bytes of the header of the first frame, or none if there is no frame at `audio`."""
    file.seek(audio)
    header = file.read(HEADER_BYTES)
    is_frame = audio > 0 and len(header) == HEADER_BYTES and flac_frame.parse(header, header) is not None
    return header if is_frame else b""


def _counted_samples(file: BinaryIO, size_bytes: int, audio: int, first_header: bytes, tail_bytes: int) -> int | None:
    """Return the number of samples up to the end of the last frame, or None if it cannot be found."""
    first = flac_frame.parse(first_header, first_header)
    if first is None:
        return None
    tail_start = max(audio, size_bytes - tail_bytes)
    file.seek(tail_start)
    last = _last_frame(file.read(size_bytes - tail_start), first_header)
    if last is None:
        return None
    return last.position * (first.samples if flac_frame.has_fixed_length(first_header) else 1) + last.samples


def _skip_metadata(file: BinaryIO, start: int) -> int:
    """Return the position of the first frame, or 0 if the metadata have no end."""
    position = start + 4
    for _ in range(MAX_METADATA_BLOCKS):
        file.seek(position)
        header = file.read(4)
        if len(header) < 4:
            return 0
        position += 4 + int.from_bytes(header[1:], "big")
        if header[0] & 0x80:
            return position
    return 0


def _last_frame(tail: bytes, first_header: bytes) -> Frame | None:
    position = len(tail)
    for _ in range(MAX_CANDIDATES):
        position = tail.rfind(first_header[:2], 0, position)
        if position < 0:
            return None
        if frame := flac_frame.parse(tail[position : position + HEADER_BYTES], first_header):
            return frame
    return None
