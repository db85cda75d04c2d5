"""A part of a file as a file of its own, for libav, whose reads also check the deadline."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import BinaryIO


class ByteRange:
    """The bytes from `start` to `stop` of an open file.

    Args:
        file: the open file.
        start: first byte of the part.
        stop: byte after the part.
        check_deadline: called before every read; raises an error if no time remains. libav can read a whole file
            without finding a frame, and checks nothing itself.
    """

    def __init__(self, file: BinaryIO, start: int, stop: int, check_deadline: Callable[[], None]) -> None:
        self._descriptor = file.fileno()
        self._start, self._size_bytes = start, max(0, stop - start)
        self._check_deadline = check_deadline
        self._position = 0

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes from the current position, or nothing at the end."""
        self._check_deadline()
        size = min(size, self._size_bytes - self._position)
        if size <= 0:
            return b""
        block = os.pread(self._descriptor, size, self._start + self._position)
        self._position += len(block)
        return block

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position
