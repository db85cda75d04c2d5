"""Headers of MPEG frames of layers 2 and 3, and the length header that encoders put into the first frame.

ISO/IEC 11172-3 and 13818-3 define the frame header. MPEG 2.5 for 8 to 12 kHz is an extension by Fraunhofer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER_BYTES = 4
_KILOBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KILOBITS_1_OF_LAYER_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_KILOBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_VBRI_OFFSET = 36


@dataclass(frozen=True)
class Format:
    """The format of a frame, which is the same in all frames of a file, unless files were joined."""

    rate_hz: int
    """Sample rate in Hz."""
    channels: int
    """Number of channels."""
    frame_samples: int
    """Number of samples in a frame."""


@dataclass(frozen=True)
class LengthHeader:
    """The statements of the first frame about the whole file. All fields are 0 if there is no such header."""

    frames: int = 0
    """Number of frames after this one."""
    padding_samples: int = 0
    """Samples that the encoder added at both ends, by the LAME extension."""


def parse(header: bytes, layer: int = 3) -> tuple[Format, int] | None:
    """Return the format and the length in bytes of the frame with this header of 4 bytes, or None if it is none.

    Args:
        header: the first bytes of the frame.
        layer: 3 for MP3, or 2.
    """
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE6 != 0xE0 | (4 - layer) << 1:
        return None
    version, bit_rate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate == 3 or bit_rate in (0, 15):
        return None
    rate_hz = _RATES_HZ[version][rate]
    frame_samples = 1_152 if version == 3 or layer == 2 else 576
    kilobits_1 = _KILOBITS_1 if layer == 3 else _KILOBITS_1_OF_LAYER_2
    kilobits = (kilobits_1 if version == 3 else _KILOBITS_2)[bit_rate]
    length = frame_samples * kilobits * 125 // rate_hz + (header[2] >> 1 & 1)
    return Format(rate_hz, 1 if header[3] >> 6 == 3 else 2, frame_samples), length


def find(block: bytes, layer: int = 3) -> int | None:
    """Return the offset of the first frame in `block` that is followed by a frame of the same format, or None.

    Args:
        block: bytes of the file.
        layer: 3 for MP3, or 2.
    """
    offset = block.find(b"\xff")
    while offset >= 0:
        frame = parse(block[offset : offset + HEADER_BYTES], layer)
        follower = parse(block[offset + frame[1] : offset + frame[1] + HEADER_BYTES], layer) if frame else None
        if frame and follower and frame[0] == follower[0]:
            return offset
        offset = block.find(b"\xff", offset + 1)
    return None


def read_length_header(frame: bytes) -> LengthHeader:
    """Return the length header in the first frame of a file: Xing, Info or VBRI."""
    is_mono, is_version_1 = frame[3] >> 6 == 3, frame[1] >> 3 & 3 == 3
    offset = HEADER_BYTES + ((17 if is_mono else 32) if is_version_1 else (9 if is_mono else 17))
    if frame[offset : offset + 4] in (b"Xing", b"Info"):
        return _read_xing(frame, offset + 4)
    if frame[_VBRI_OFFSET : _VBRI_OFFSET + 4] == b"VBRI":
        return LengthHeader(struct.unpack_from(">I", frame.ljust(64, b"\0"), _VBRI_OFFSET + 14)[0])
    return LengthHeader()


def _read_xing(frame: bytes, offset: int) -> LengthHeader:
    content = frame[offset:].ljust(200, b"\0")
    flags = content[3]
    frames = struct.unpack_from(">I", content, 4)[0] if flags & 1 else 0
    lame = 4 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    if content[lame : lame + 4] not in (b"LAME", b"Lavf", b"Lavc"):
        return LengthHeader(frames)
    delays = int.from_bytes(content[lame + 21 : lame + 24], "big")
    return LengthHeader(frames, (delays >> 12) + (delays & 0xFFF))
