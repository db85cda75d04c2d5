"""Tags behind the audio of a file, which are no audio: ID3v1, APE and Lyrics3."""

from __future__ import annotations

import struct
from typing import BinaryIO

MAX_TAGS = 8
"""Number of tags at the end that are skipped. A sound file has at most one of each kind."""
_ID3V1_BYTES, _APE_FOOTER_BYTES, _LYRICS_END_BYTES = 128, 32, 15


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
        tag_bytes = _last_tag_bytes(file.read(end - max(start, end - _ID3V1_BYTES)))
        if not 0 < tag_bytes <= end - start:
            return end
        end -= tag_bytes
    return end


def _last_tag_bytes(tail: bytes) -> int:
    """Return the length of the tag with which a file ends, or 0."""
    if len(tail) == _ID3V1_BYTES and tail.startswith(b"TAG"):
        return _ID3V1_BYTES
    footer, lyrics = tail[-_APE_FOOTER_BYTES:], tail[-_LYRICS_END_BYTES:]
    if len(footer) == _APE_FOOTER_BYTES and footer.startswith(b"APETAGEX"):
        size, _, flags = struct.unpack_from("<3I", footer, 12)
        return int(size + _APE_FOOTER_BYTES * (flags >> 31))  # the size counts the footer, and not the header
    if lyrics.endswith(b"LYRICS200") and lyrics[:6].isdigit():
        return int(lyrics[:6]) + _LYRICS_END_BYTES
    return 0
