"""The pages of an Ogg file: where its chained streams begin and end, and whether the file breaks off (RFC 3533).

A page states its own size, so the walk reads 27 to 282 bytes of each page and decodes nothing. The last page states the
position of its last sample. libav knows the position of the first one, so it computes the length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from pipeline.audio.lengths.statement import Statement

MAGIC = b"OggS"
HEADER_BYTES = 27
MAX_GAP_BYTES = 1 << 30
"""Longest gap in a file that is searched for another page."""
MAX_TRAILING_BYTES = 1 << 16
"""Longest end of an intact file that is not a page, such as a tag or padding."""
PAGES_PER_CHECK = 256
"""Number of pages between two checks of the deadline."""
_BLOCK_BYTES = 1 << 20
_FIRST, _LAST = 2, 4
_NO_POSITION = b"\xff" * 8
"""Position of a page in which no packet ends."""
MAX_GRANULE = 1 << 48
"""Largest plausible position, which is 185 years at 48 kHz."""
_AUDIO_MAGIC = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")


@dataclass
class _Walk:
    """A walk over all pages. The attributes are complete after `run`."""

    file: BinaryIO
    size_bytes: int
    check_deadline: Callable[[], None]
    starts: list[int] = field(default_factory=list)
    """Start of each chained stream, in bytes."""
    granules: list[tuple[int, int]] = field(default_factory=list)
    """Positions that the first and the last page of audio in each chained stream state, in units of its codec."""
    audio: set[int] = field(default_factory=set)
    """Serial numbers of the audio streams in the present chained stream."""
    open_audio: set[int] = field(default_factory=set)
    """Serial numbers of audio streams whose last page has not come yet."""
    numbers: dict[int, int] = field(default_factory=dict)
    """Number of the last page of each audio stream in the present chained stream, once audio has begun."""
    misplaced_pages: int = 0
    """Pages of audio whose number does not follow that of the page before: pages are missing, repeated or moved."""
    gap_bytes: int = 0
    """Bytes that belong to no page."""
    end: int = 0
    """Position after the last page."""
    is_cut: bool = False
    """True if the file ends inside a page."""
    in_head: bool = False
    """True if only first pages have come since the start of the chained stream."""

    def run(self) -> None:
        """Walk over all pages of the file."""
        position, pages = 0, 0
        while position < self.size_bytes:
            if pages % PAGES_PER_CHECK == 0:
                self.check_deadline()
            self.file.seek(position)
            page = self.file.read(HEADER_BYTES + 255 + 8)
            if page[:4] != MAGIC or len(page) < HEADER_BYTES:
                position = self._find_page(position)
                continue
            position, pages = self._visit(page, position), pages + 1

    def _visit(self, page: bytes, position: int) -> int:
        """Note one page and return the position after it."""
        flags, serial, segments = page[5], int.from_bytes(page[14:18], "little"), page[26]
        content = HEADER_BYTES + segments
        if flags & _FIRST:
            self._begin(page, position, serial, content)
        elif flags & _LAST:
            self.open_audio.discard(serial)
        if serial in self.audio and page[6:14] != _NO_POSITION:
            granule = int.from_bytes(page[6:14], "little")
            self.granules[-1] = self.granules[-1][0] or granule, granule  # headers are at position 0
        if serial in self.audio:
            self._check_number(serial, int.from_bytes(page[18:22], "little"))
        self.in_head = bool(flags & _FIRST)
        end = position + content + sum(page[HEADER_BYTES:content])
        self.is_cut, self.end = end > self.size_bytes, end
        return end

    def _check_number(self, serial: int, number: int) -> None:
        """Compare the number of a page of audio with the last one.

        Pages of headers are left out. Programs that change tags may write more or fewer of them, and a stream that was
        cut from another one goes on with the numbers of that one.
        """
        if self.granules[-1][1]:
            expected = self.numbers.get(serial, number - 1) + 1
            self.misplaced_pages += number != expected & 0xFFFFFFFF
            self.numbers[serial] = number

    def _begin(self, page: bytes, position: int, serial: int, content: int) -> None:
        if not self.in_head:
            self.starts.append(position)
            self.granules.append((0, 0))
            self.audio, self.open_audio, self.numbers = set(), set(), {}
        if page[content : content + 8].startswith(_AUDIO_MAGIC):
            self.audio.add(serial)
            if not page[5] & _LAST:
                self.open_audio.add(serial)

    def _find_page(self, position: int) -> int:
        """Return the position of the next page after bytes that are not a page, or the end of the file."""
        start = position
        while position < min(self.size_bytes, start + MAX_GAP_BYTES):
            self.check_deadline()
            self.file.seek(position)
            block = self.file.read(_BLOCK_BYTES)
            offset = block.find(MAGIC, position == start)
            if offset >= 0 and position + offset + HEADER_BYTES <= self.size_bytes:
                self.gap_bytes += position + offset - start
                return position + offset
            position += max(1, len(block) - len(MAGIC) + 1)
        rest = self.size_bytes - start
        self.is_cut = self.is_cut or (bool(self.open_audio) and rest < HEADER_BYTES)
        if not self.is_cut and (self.open_audio or rest > MAX_TRAILING_BYTES):
            self.gap_bytes += rest
        return self.size_bytes


def read_statement(file: BinaryIO, size_bytes: int, check_deadline: Callable[[], None]) -> Statement:
    """Return the statement of an Ogg file, which holds no length but the parts of the file.

    Args:
        file: the open file, which begins with `MAGIC`.
        size_bytes: size of the file in bytes.
        check_deadline: called now and then; raises an error if no time remains.
    """
    walk = _Walk(file, size_bytes, check_deadline)
    walk.run()
    if not walk.starts:
        return Statement(damage=_damage(walk))
    ends = [*walk.starts[1:], min(walk.end, size_bytes)]
    breaks_off = "inside its last page" if walk.is_cut else "before the last page of its stream"
    return Statement(
        breaks_off=breaks_off if walk.is_cut or walk.open_audio else "",
        damage=_damage(walk),
        links=tuple(zip(walk.starts, ends, strict=True)),
        granules=tuple(granules if max(granules) < MAX_GRANULE else (0, 0) for granules in walk.granules),
    )


def _damage(walk: _Walk) -> str:
    gap = f"{walk.gap_bytes} bytes belong to no page" if walk.gap_bytes else ""
    pages = f"pages are missing, repeated or moved at {walk.misplaced_pages} places" if walk.misplaced_pages else ""
    return "; ".join(filter(None, [gap, pages]))
