"""The length that a file of chunks states: WAV, RF64, BW64, AIFF, AIFC, W64 and CAF. So does AU, which has no chunks.

libsndfile shortens the stated length to what a file holds, so it cannot tell that a file was copied half way.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.audio.lengths import tags
from pipeline.audio.lengths.statement import Statement

MAX_CHUNKS = 1_000
"""Number of chunks that are read. A hostile file can hold millions of empty ones."""
MAX_HEAD_BYTES = 64
"""Bytes of the content of a chunk that are read. No field that is needed lies beyond them."""
_UNKNOWN_RADIUS = 1 << 13
"""Sizes this close below 2^31 or 2^32 mean that the writer did not know the size, because it wrote to a pipe."""
HELD = "the bytes of the file hold"
"""Origin of a length for which the bytes of a file are counted."""
_WRAP_BYTES, _MAX_REST_BYTES = 1 << 32, 1 << 16
"""Number of sizes that a header of 32 bits can state, and the largest size of the chunks behind the audio of such a
file. Of a file of unknown size, libsndfile reads as much."""
_NO_SIZE, _MAX_SIZE = 0xFFFFFFFF, 1 << 62
"""The size in RF64 that says where the size is, and a size that only says that it is unknown."""
_SAMPLES = (1, 3, 6, 7, 0xFFFE)
"""Encodings of WAV that are samples: integers, floating point, A-law and mu-law, and a longer header for all."""
_STEADY = (0x02, 0x11, 0x31)
"""Other encodings whose bytes per second are stated rightly: Microsoft's and IMA's ADPCM, and GSM."""
_G722 = (0x65, 0x28F)
"""Encodings of WAV that are G.722, which takes half a byte for each sample, whatever headers state."""
_AIFC_SAMPLES = (b"NONE", b"sowt", b"twos", b"fl32", b"FL32", b"fl64", b"FL64", b"in24", b"in32", b"raw ")
_SECOND_FILES = (b"RIFF", b"RF64", b"BW64", b"FORM", b"caff")
_SEARCHED_BYTES, _SEARCHED_PLACES = 1 << 16, 64
"""Bytes behind the audio that are searched for anything but zeros, and the number of places, as audio can be silent."""
_IMA4_PACKET_BYTES, _IMA4_PACKET_SAMPLES = 34, 64
"""Size of a packet of Apple's IMA ADPCM, whose number of samples in the header counts packets."""
_W64_GUID_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_AU_BITS = {1: 8, 2: 8, 3: 16, 4: 24, 5: 32, 6: 32, 7: 64, 27: 8}


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int
    """Position of the content in the file, in bytes."""
    size_bytes: int
    head: bytes
    """First bytes of the content, filled up with zeros to `MAX_HEAD_BYTES`."""


@dataclass(frozen=True)
class _Sound:
    """The audio of a file: where it lies, and how many bytes make a second."""

    start: int
    size_bytes: int
    """Stated size in bytes, or 0 if the writer did not know it."""
    bytes_per_second: float
    is_empty: bool = False
    """True if the stated size is 0, which libsndfile believes."""
    container_end: int = 0
    """End of the whole file that its first chunk states, or 0 if it states none."""


def read_statement(file: BinaryIO, size_bytes: int, head: bytes) -> Statement | None:
    """Return the statement of a file that begins with `head`, or None if the format is another or no audio is stated.

    Args:
        file: the open file.
        size_bytes: size of the file in bytes.
        head: the first bytes of the file.
    """
    sound, chunks = _read_sound(file, size_bytes, head)
    if sound is None or not sound.bytes_per_second > 0:
        return None
    if not sound.size_bytes:
        if size_bytes - sound.start < _WRAP_BYTES:
            return Statement(is_regular=not sound.is_empty)
        return Statement((size_bytes - sound.start) / sound.bytes_per_second, origin=HELD, is_regular=False)
    if head[:4] == b"RIFF" and (whole := _whole_size(sound, size_bytes)):
        return Statement(whole / sound.bytes_per_second, origin=HELD)
    end, origin = sound.start + sound.size_bytes, "the header states"
    if size_bytes <= end < sound.container_end and sound.container_end - end > 8:
        end = sound.container_end  # the size of the audio was mended to the cut file, and that of the file was not
    elif (unread := _unread_bytes(file, size_bytes, end, chunks)) > 0:
        end, origin = end + unread, HELD
    return Statement((end - sound.start) / sound.bytes_per_second, origin=origin)


def _whole_size(sound: _Sound, size_bytes: int) -> int:
    """Return the size of the audio of which a header of 32 bits states the remainder by 4 GiB, or 0 if it states all.

    The file must end where this size ends, but for a few chunks behind it. Decoders read no more than what is stated.
    ffmpeg's `ignore_length` is no way out: it searches the audio for chunks, and reports the last packet as corrupt.
    """
    rounds, rest_bytes = divmod(size_bytes - sound.start - sound.size_bytes, _WRAP_BYTES)
    return sound.size_bytes + rounds * _WRAP_BYTES if rounds > 0 and rest_bytes < _MAX_REST_BYTES else 0


def _read_sound(file: BinaryIO, size_bytes: int, head: bytes) -> tuple[_Sound | None, list[_Chunk]]:
    if head[:4] == b".snd":
        return _au(head), []
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        chunks = list(_chunks(file, size_bytes, 12, "<4sI"))
        return _wav(chunks, head), chunks
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        chunks = list(_chunks(file, size_bytes, 12, ">4sI"))
        return _aiff(chunks), chunks
    if head[:4] == b"riff" and head[4:16] == b"\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00":
        chunks = list(_w64_chunks(file, size_bytes))
        return _wav(chunks, b""), chunks
    if head[:4] == b"caff":
        chunks = list(_chunks(file, size_bytes, 8, ">4sq"))
        return _caf(chunks), chunks
    return None, []


def _chunks(file: BinaryIO, size_bytes: int, position: int, layout: str) -> Iterator[_Chunk]:
    """Yield the chunks from `position` to the end of the file, or to the first chunk that reaches beyond it."""
    header_bytes, data_bytes = struct.calcsize(layout), _NO_SIZE
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        header = file.read(header_bytes)
        if len(header) < header_bytes:
            return
        name, chunk_bytes = struct.unpack(layout, header)
        start = position + header_bytes
        if name in _SECOND_FILES:
            return
        content = file.read(MAX_HEAD_BYTES).ljust(MAX_HEAD_BYTES, b"\0")
        if name == b"ds64":  # the size of the audio in RF64, whose chunk of audio says only that the size is here
            data_bytes = int(struct.unpack_from("<Q", content, 8)[0])
        if name == b"data" and chunk_bytes == _NO_SIZE:
            chunk_bytes = data_bytes
        yield _Chunk(name, start, chunk_bytes, content)
        position = start + chunk_bytes
        if header_bytes == 8 and chunk_bytes & 1:
            position += _is_padded(file, position)
        if chunk_bytes < 0 or position >= size_bytes:
            return


def _is_padded(file: BinaryIO, position: int) -> bool:
    """Return whether a byte of padding follows a chunk of odd size. Some writers leave it out."""
    file.seek(position)
    following = file.read(5)
    return not (len(following) == 5 and following[0] and _is_chunk_name(following[:4]))


def _w64_chunks(file: BinaryIO, size_bytes: int) -> Iterator[_Chunk]:
    """Yield the chunks of a W64 file: a GUID that begins with the name, and a size that counts its 24 bytes."""
    position = 40
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        header = file.read(24)
        if len(header) < 24:
            return
        chunk_bytes = int.from_bytes(header[16:], "little") - 24
        yield _Chunk(header[:4], position + 24, chunk_bytes, file.read(MAX_HEAD_BYTES).ljust(MAX_HEAD_BYTES, b"\0"))
        position += 24 + (chunk_bytes + 7) // 8 * 8
        if chunk_bytes < 0 or position >= size_bytes:
            return


def _wav(chunks: list[_Chunk], head: bytes) -> _Sound | None:
    named = {chunk.name: chunk for chunk in reversed(chunks)}
    if b"fmt " not in named or b"data" not in named:
        return None
    data, ds64 = named[b"data"], named.get(b"ds64")
    encoding, channels, rate_hz, bytes_per_second, _, bits = struct.unpack_from("<HHIIHH", named[b"fmt "].head)
    if encoding in _SAMPLES:  # samples, whose bytes per second are computed, because headers state them wrongly
        bytes_per_second = rate_hz * channels * ((bits + 7) // 8)
    elif encoding in _G722:
        bytes_per_second = rate_hz * channels / 2
    elif encoding not in _STEADY and b"fact" in named and (frames := int.from_bytes(named[b"fact"].head[:4], "little")):
        bytes_per_second = max(bytes_per_second, data.size_bytes * rate_hz / frames)
    size, container = data.size_bytes, int.from_bytes(head[4:8], "little") + 8 if head else 0
    if ds64 and container == _NO_SIZE + 8:
        container = struct.unpack_from("<Q", ds64.head)[0] + 8
    return _Sound(data.start, _known(size), bytes_per_second, size == 0, _known(container - 8) and container)


def _known(size_bytes: int) -> int:
    """Return a size, or 0 if it only says that the size was not known."""
    is_unknown = abs(size_bytes - (1 << 31)) <= _UNKNOWN_RADIUS or 0 <= (1 << 32) - size_bytes <= _UNKNOWN_RADIUS
    return 0 if is_unknown or not 0 <= size_bytes < _MAX_SIZE else size_bytes


def _aiff(chunks: list[_Chunk]) -> _Sound | None:
    named = {chunk.name: chunk for chunk in reversed(chunks)}
    if b"COMM" not in named or b"SSND" not in named:
        return None
    sound = named[b"SSND"]
    channels, frames, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", named[b"COMM"].head)
    is_of_samples = named[b"COMM"].size_bytes < 22 or named[b"COMM"].head[18:22] in _AIFC_SAMPLES
    rate_hz = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16_383 - 63) if exponent & 0x7FFF < 16_500 else 0.0
    seconds = frames / rate_hz if rate_hz else 0.0
    size = _known(sound.size_bytes - 8)  # the content begins with an offset and a block size
    if named[b"COMM"].head[18:22] == b"ima4":
        return _Sound(sound.start + 8, size, rate_hz * channels * _IMA4_PACKET_BYTES / _IMA4_PACKET_SAMPLES)
    if is_of_samples and size:
        frame_bytes = channels * ((bits + 7) // 8)
        return _Sound(sound.start + 8, max(size, frames * frame_bytes), rate_hz * frame_bytes)
    return _Sound(sound.start + 8, size, size / seconds if seconds else 0.0)


def _caf(chunks: list[_Chunk]) -> _Sound | None:
    named = {chunk.name: chunk for chunk in reversed(chunks)}
    if b"desc" not in named or b"data" not in named:
        return None
    rate_hz, _, _, packet_bytes, packet_frames = struct.unpack_from(">d4s3I", named[b"desc"].head)
    data, is_rate = named[b"data"], 0 < rate_hz < 1e9
    bytes_per_second = rate_hz * packet_bytes / packet_frames if packet_frames and is_rate else 0.0
    if not packet_bytes and b"pakt" in named and is_rate:  # packets of any size, and a table with their samples
        seconds = int.from_bytes(named[b"pakt"].head[8:16], "big") / rate_hz
        bytes_per_second = max(0, data.size_bytes - 4) / seconds if seconds else 0.0
    return _Sound(data.start + 4, max(0, data.size_bytes - 4), bytes_per_second)


def _au(head: bytes) -> _Sound | None:
    if len(head) < 24:
        return None
    start, size, encoding, rate_hz, channels = struct.unpack_from(">5I", head, 4)
    return _Sound(start, _known(size), rate_hz * channels * _AU_BITS.get(encoding, 0) / 8)


def _unread_bytes(file: BinaryIO, size_bytes: int, end: int, chunks: list[_Chunk]) -> int:
    """Return the bytes after the audio that belong to no chunk, such as a second file. Zeros and tags are none."""
    known_end = max([end, *(chunk.start + chunk.size_bytes for chunk in chunks if _is_chunk_name(chunk.name))])
    if size_bytes - known_end > MAX_HEAD_BYTES:
        size_bytes = tags.end_of_audio(file, known_end, size_bytes)
    if size_bytes - known_end <= MAX_HEAD_BYTES:
        return 0
    places = range(known_end, size_bytes, max(_SEARCHED_BYTES, (size_bytes - known_end) // _SEARCHED_PLACES))
    return size_bytes - known_end if any(_has_content(file, place) for place in places) else 0


def _has_content(file: BinaryIO, place: int) -> bool:
    file.seek(place)
    return any(file.read(_SEARCHED_BYTES))


def _is_chunk_name(name: bytes) -> bool:
    return all(32 <= byte < 127 for byte in name)
