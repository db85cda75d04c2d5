"""Random access to the content of a gzip file, so that a member of a `.tar.gz` is read without unpacking the archive.

The first pass through the file leaves a seek point (the state of the decompressor, about 40 kB) every 16 MiB of the
content. A later seek continues at the seek point before it.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INPUT_BYTES, OUTPUT_BYTES = 1 << 16, 1 << 20
"""Compressed bytes that are read at once, and the most bytes that are decompressed at once."""
SEEK_POINT_BYTES, MAX_SEEK_POINTS = 16 << 20, 512
MIN_CONTENT_BYTES, MAX_EXPANSION = 4 << 30, 200
"""Content is read up to 200 times the size of the file, or up to 4 GiB if that is more. Audio expands less than ten
times, unless it is silent."""
_GZIP_FORMAT = 31  # zlib's window bits for gzip, whose header and checksum zlib checks itself


@dataclass(frozen=True)
class SeekPoint:
    """The state of the decompressor at one place of the content."""

    offset: int
    """Offset in the content, in bytes."""
    file_offset: int
    """Offset in the compressed file, in bytes."""
    decoder: Any
    """Decompressor of zlib, which is copied before it is used."""
    waiting: bytes
    """Compressed bytes before `file_offset` that the decompressor has not taken yet."""


@dataclass
class SeekPoints:
    """The seek points of one file, sorted by offset. All readers of the file share them."""

    items: list[SeekPoint] = field(default_factory=list)
    spacing_bytes: int = SEEK_POINT_BYTES

    def before(self, offset: int) -> SeekPoint | None:
        """Return the last seek point that is not after `offset`, or None."""
        return next((item for item in reversed(self.items) if item.offset <= offset), None)

    def is_due(self, offset: int) -> bool:
        """Return whether the next seek point belongs at `offset`."""
        return offset >= (self.items[-1].offset if self.items else 0) + self.spacing_bytes

    def add(self, item: SeekPoint) -> None:
        """Add the seek point after all others. If there are too many, every second one is dropped."""
        self.items.append(item)
        if len(self.items) > MAX_SEEK_POINTS:
            self.items = self.items[1::2]
            self.spacing_bytes *= 2


class GzipFile(io.RawIOBase):
    """The content of a gzip file, read like a file. Several gzip streams in one file are joined.

    Args:
        path: the gzip file.
        seek_points: seek points of an earlier reader of the same file.
    """

    def __init__(self, path: Path | str, seek_points: SeekPoints | None = None) -> None:
        self._file = io.FileIO(path)
        self._max_bytes = max(MIN_CONTENT_BYTES, MAX_EXPANSION * self._file.seek(0, io.SEEK_END))
        self.seek_points = seek_points if seek_points is not None else SeekPoints()
        self._restart(None)

    def close(self) -> None:
        """Close the compressed file."""
        self._file.close()
        super().close()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset in the content, in bytes."""
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset from the start or from here. An offset after the end becomes the end.

        Raises:
            OSError: the file is damaged before this offset, or expands too much.
        """
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the length of the content is unknown")
        target = offset + (self._offset if whence == io.SEEK_CUR else 0)
        nearest = self.seek_points.before(target)
        if target < self._offset or (nearest and nearest.offset > self._offset):
            self._restart(nearest)
        while self._offset < target and self._take(target - self._offset):
            pass
        return self._offset

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with the next bytes, and return their number, which is 0 at the end.

        Raises:
            OSError: the file is damaged here, or expands too much.
        """
        content = self._take(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def _restart(self, seek_point: SeekPoint | None) -> None:
        self._pending = b""
        self._file.seek(seek_point.file_offset if seek_point else 0)
        self._offset = seek_point.offset if seek_point else 0
        self._decoder = seek_point.decoder.copy() if seek_point else zlib.decompressobj(_GZIP_FORMAT)
        self._waiting = seek_point.waiting if seek_point else b""

    def _take(self, size: int) -> bytes:
        if not self._pending:
            self._add_seek_point()
            self._pending = self._decompress()
        taken, self._pending = self._pending[:size], self._pending[size:]
        self._offset += len(taken)
        if self._offset > self._max_bytes:
            raise OSError(f"the content is longer than {self._max_bytes} bytes, too much for a file of this size")
        return taken

    def _add_seek_point(self) -> None:
        if self.seek_points.is_due(self._offset) and not self._decoder.eof:
            state = SeekPoint(self._offset, self._file.tell(), self._decoder.copy(), self._waiting)
            self.seek_points.add(state)

    def _decompress(self) -> bytes:
        """Return the next bytes of the content, or none at the end of the file."""
        while True:
            compressed = self._waiting or self._file.read(INPUT_BYTES)
            if self._decoder.eof:
                compressed = compressed.lstrip(b"\0")  # padding after a gzip stream, for example on tapes
                if not compressed:
                    if self._at_end():
                        return b""
                    self._waiting = b""
                    continue
                self._decoder = zlib.decompressobj(_GZIP_FORMAT)
            if not compressed:
                raise OSError(f"the gzip stream ends early, after {self._offset} bytes of content")
            if content := self._feed(compressed):
                return content

    def _at_end(self) -> bool:
        offset = self._file.tell()
        is_end = not self._file.read(1)
        self._file.seek(offset)
        return is_end

    def _feed(self, compressed: bytes) -> bytes:
        try:
            content: bytes = self._decoder.decompress(compressed, OUTPUT_BYTES)
        except zlib.error as error:
            raise OSError(f"the gzip stream is damaged after {self._offset} bytes of content: {error}") from error
        self._waiting = self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
        return content
