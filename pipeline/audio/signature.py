"""Recognition of audio by the first bytes of a file, for files whose names do not state a format."""

from __future__ import annotations

from pipeline.audio import sndfile

HEAD_BYTES = 200
"""Bytes that `is_audio` needs. MPEG-TS is recognized by the first bytes of two packets of 188 bytes."""

_MAGIC = (
    b"OggS",
    b"fLaC",
    b"\x1a\x45\xdf\xa3",  # Matroska and WebM
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF: WMA and WMV
    b"FLV\x01",
    b"caff",
    b"MAC ",  # Monkey's Audio
    b"wvpk",
    b"TTA1",
    b"#!AMR",
    b"Creative Voice File",
    b"MPCK",
    b"MP+",
    b"\x0b\x77",  # AC-3 and E-AC-3
    b"RF64",
)
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_TS_PACKET_BYTES, _TS_SYNC = 188, 0x47


def is_audio(head: bytes) -> bool:
    """Return whether a file that begins with `head` is in a format that the decoders read.

    The format may also hold video without any sound, which the decoders find out.
    """
    return (
        sndfile.supports(head[: sndfile.HEAD_BYTES])
        or head.startswith(_MAGIC)
        or head[4:8] in _MP4_BOXES
        or (head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"AVI "))
        or _is_mpeg_audio(head)
        or is_transport_stream(head)
    )


def is_transport_stream(head: bytes) -> bool:
    """Return whether `head` begins two packets of an MPEG transport stream."""
    return len(head) > _TS_PACKET_BYTES and head[0] == head[_TS_PACKET_BYTES] == _TS_SYNC


def _is_mpeg_audio(head: bytes) -> bool:
    """Return whether `head` is a frame of MPEG audio (layers 2 and 3) or of AAC in ADTS.

    Layer 1 is not used for music, and would be mistaken for text in UTF-16.
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if layer == 0:  # ADTS has twelve set bits and an index of the sample rate below 13
        return head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 15 < 13
    return version != 1 and layer != 3 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3
