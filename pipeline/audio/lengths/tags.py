"""Tags behind the audio of a file, which are no audio: ID3v1, ID3v2, APE and Lyrics3."""

from __future__ import annotations

import struct
from typing import BinaryIO

MAX_TAGS = 8
"""Number of tags at the end that are skipped. A sound file has at most one of each kind."""
ID3V2_SEARCH_BYTES = 1 << 18
"""Bytes at the end in which the header of an ID3v2 tag without a footer is searched."""
_ID3V1_BYTES, _ID3V2_BYTES, _APE_FOOTER_BYTES, _LYRICS_END_BYTES = 128, 10, 32, 15


def end_of_audio(file: BinaryIO, start: int, size_bytes: int) -> int:
    """Return the position of the first tag at the end of a file, or the size of the file if it ends without one.

    Args:
        file: the open file.
        start: position of the audio in bytes. No tag begins before it.
        size_bytes: size of the file in bytes.
    """
    end = size_bytes
    for _ in range(MAX_TAGS):
        file.seek(max(start, end - _ID3V1_BYTES))
        tag_bytes = _last_tag_bytes(file.read(end - max(start, end - _ID3V1_BYTES))) or _id3v2_bytes(file, start, end)
        if not 0 < tag_bytes <= end - start:
            return end
        end -= tag_bytes
    return end


def _last_tag_bytes(tail: bytes) -> int:
    """Return the length of the tag with which a file ends, or 0."""
    if len(tail) == _ID3V1_BYTES and tail.startswith(b"TAG"):
        return _ID3V1_BYTES
    if tail[-_ID3V2_BYTES:].startswith(b"3DI"):
        return _size(tail[-4:]) + 2 * _ID3V2_BYTES
    footer, lyrics = tail[-_APE_FOOTER_BYTES:], tail[-_LYRICS_END_BYTES:]
    if len(footer) == _APE_FOOTER_BYTES and footer.startswith(b"APETAGEX"):
        size, _, flags = struct.unpack_from("<3I", footer, 12)
        return int(size + _APE_FOOTER_BYTES * (flags >> 31))  # the size counts the footer, and not the header
    if lyrics.endswith(b"LYRICS200") and lyrics[:6].isdigit():
        return int(lyrics[:6]) + _LYRICS_END_BYTES
    return 0


def _id3v2_bytes(file: BinaryIO, start: int, end: int) -> int:
    """Return the length of an ID3v2 tag without a footer that ends at `end`, or 0."""
    first = max(start, end - ID3V2_SEARCH_BYTES)
    file.seek(first)
    content = file.read(end - first)
    position = content.rfind(b"ID3")
    while position >= 0:
        if _fills(content[position : position + _ID3V2_BYTES], len(content) - position):
            return len(content) - position
        position = content.rfind(b"ID3", 0, position)
    file.seek(start)  # a long tag that begins where the audio is known to end
    return end - start if _fills(file.read(_ID3V2_BYTES), end - start) else 0


def _fills(header: bytes, size_bytes: int) -> bool:
    """Return whether this is the header of an ID3v2 tag of `size_bytes` bytes."""
    is_header = len(header) == _ID3V2_BYTES and header.startswith(b"ID3") and header[3] < 5 and max(header[6:]) < 128
    return is_header and _ID3V2_BYTES + _size(header[6:]) == size_bytes


def _size(content: bytes) -> int:
    """Return a number that ID3v2 stores in 7 bits of each byte."""
    return sum((byte & 0x7F) << shift for byte, shift in zip(content, (21, 14, 7, 0), strict=True))
