"""The length of an AAC file in ADTS, from a walk over the headers of all its frames.

ffmpeg skips bytes that belong to no frame without a message, so only the walk tells that audio is missing there. The
header of a frame is defined in ISO/IEC 13818-7, section 6.2. Its sample rate is that of the core, so a frame of HE-AAC
has as many seconds as one of AAC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from pipeline.audio.lengths import mpeg, tags
from pipeline.audio.lengths.statement import Statement

BLOCK_BYTES = 1 << 20
MAX_GAP_BYTES = 1 << 30
"""Longest gap in the audio that is searched for another frame."""
TOLERANCE_FRAMES, TOLERANCE_FRAMES_PER_INSERTION = 3, 2
"""Frames that may be left out of an intact file, and at each place where something is between frames."""
_HEADER_BYTES, _WINDOW_BYTES = 7, 1 << 12
_BACK_BYTES = 1 << 14
"""Bytes of a block before the wanted ones. A frame is shorter, so a look at the next frame and back reads no new block.
"""
_RATES_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_FRAME_SAMPLES = 1_024


def read_statement(file: BinaryIO, size_bytes: int, start: int, check_deadline: Callable[[], None]) -> Statement | None:
    """Return the statement of an AAC file, or None if there are no two frames at `start`.

    Args:
        file: the open file.
        size_bytes: size of the file in bytes.
        start: position after the ID3 tags at the start of the file.
        check_deadline: called between blocks; raises an error if no time remains.
    """
    walk = _Walk(file, start, size_bytes, check_deadline)
    if not walk.begins_frame(start):
        return None
    walk.run()
    audio_end = tags.end_of_audio(file, start, size_bytes)
    frames = TOLERANCE_FRAMES + TOLERANCE_FRAMES_PER_INSERTION * walk.insertions
    return Statement(
        walk.seconds,
        frames * walk.frame_seconds,
        "the frames hold",
        breaks_off="inside its last frame" if walk.is_cut else "",
        damage=f"{walk.gap_bytes} bytes inside the audio are no audio" if walk.gap_bytes else "",
        audio_end=audio_end if audio_end < size_bytes else 0,
    )


class _Walk:
    """A walk over the frames of a file. The attributes are complete after `run`.

    Attributes:
        seconds: length of all whole frames.
        frame_seconds: length of the last frame.
        insertions: number of places inside the audio where a tag or a gap is.
        gap_bytes: bytes inside the audio that belong to no frame and no tag.
        is_cut: True if the file ends inside a frame.
    """

    def __init__(self, file: BinaryIO, start: int, size_bytes: int, check_deadline: Callable[[], None]) -> None:
        self._file, self._end, self._size_bytes = file, start, size_bytes
        self._check_deadline = check_deadline
        self._block, self._block_start = b"", 0
        self.seconds = self.frame_seconds = 0.0
        self.insertions = self.gap_bytes = 0
        self.is_cut = False

    def run(self) -> None:
        """Walk to the end of the audio."""
        self._count_frames()
        while not self.is_cut and self._find_next():
            self.insertions += 1
            self._count_frames()

    def begins_frame(self, position: int) -> bool:
        """Return whether a frame begins at `position`, and another one or the end of the file follows it."""
        first = self._parse(position)
        follower = self._parse(position + first[0]) if first else None
        at_end = first is not None and position + first[0] >= self._size_bytes
        return first is not None and (at_end or (follower is not None and follower[1] == first[1]))

    def _count_frames(self) -> None:
        while frame := self._parse(self._end):
            length, rate_hz, samples = frame
            self.is_cut = self._end + length > self._size_bytes
            if self.is_cut:
                return
            self.frame_seconds = samples / rate_hz
            self.seconds += self.frame_seconds
            self._end += length

    def _find_next(self) -> bool:
        """Move past tags and bytes that are not a frame to the next frame, and return whether there is one."""
        start = position = mpeg.skip_tags(self._file, self._end)
        while position < min(self._size_bytes, start + MAX_GAP_BYTES):
            content = self._read(position, _WINDOW_BYTES)
            offset = content.find(b"\xff")
            if offset >= 0 and self.begins_frame(position + offset):
                self._end = position + offset
                self.gap_bytes += self._end - start
                return True
            position += offset + 1 if offset >= 0 else len(content)
        return False

    def _parse(self, position: int) -> tuple[int, int, int] | None:
        """Return length in bytes, sample rate in Hz and number of samples of the frame at `position`, or None."""
        header = self._read(position, _HEADER_BYTES)
        if len(header) < _HEADER_BYTES or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
            return None
        rate, length = header[2] >> 2 & 15, (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        if rate >= len(_RATES_HZ) or length < _HEADER_BYTES:
            return None
        return length, _RATES_HZ[rate], _FRAME_SAMPLES * ((header[6] & 3) + 1)

    def _read(self, position: int, count: int) -> bytes:
        """Return `count` bytes from `position` on, or fewer at the end of the file."""
        end = self._block_start + len(self._block)
        if position < self._block_start or (position + count > end and end < self._size_bytes):
            self._check_deadline()
            self._block_start = max(0, position - _BACK_BYTES)
            self._file.seek(self._block_start)
            self._block = self._file.read(BLOCK_BYTES)
        offset = position - self._block_start
        return self._block[offset : offset + count]
