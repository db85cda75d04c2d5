"""Capture of what native libraries print, so that it becomes a message about a recording and not a line on a terminal.

libmpg123 prints its warnings to file descriptor 2 by itself, without the name of the file, and libsndfile cannot turn
that off. The descriptor is redirected to a file in memory for the time of one call of the library. All threads of a
process share the descriptor, so lines that look like those of Python's logging are passed on to the terminal. If
several threads are inside a library at the same time, the printing thread is unknown, and the line is dropped.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

STANDARD_ERROR = 2
MAX_BYTES = 1 << 16
"""Bytes of the output of one call that are kept."""
_LOG_LINE = re.compile(rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d")
_HARMLESS = re.compile(r"Xing stream size off by more than 1%")
"""Output that says nothing of the audio: the size that a length header states counts no tags."""


class NativeOutput:
    """Text that libraries have printed in all captures of one recording."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def text(self) -> str:
        """Return the distinct lines in their order, joined by `; `."""
        return "; ".join(dict.fromkeys(line for line in self._lines if line and not _HARMLESS.search(line)))

    @contextlib.contextmanager
    def capture(self) -> Iterator[None]:
        """Collect what is printed to standard error within the body."""
        start = _redirection.begin()
        try:
            yield
        finally:
            if content := _redirection.end(start):
                self._lines += [line.strip() for line in content.decode("utf-8", "replace").splitlines()]


class _Redirection:
    """The redirection of standard error, which all captures of the process share while any of them is active."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active, self._begun = 0, 0
        self._is_enabled, self._is_redirected = True, False
        self._terminal = -1
        self._file: IO[bytes] | None = None

    def begin(self) -> tuple[int, int]:
        """Redirect standard error, and return what `end` needs: the number of the capture and where it begins."""
        with self._lock:
            self._active += 1
            self._begun += 1
            if self._active == 1 and self._is_enabled:
                self._redirect()
            return (self._begun if self._active == 1 else -1), self._size_bytes()

    def end(self, capture: tuple[int, int]) -> bytes:
        """Return the output since `begin`, or nothing if other captures were active. The last one restores the rest."""
        number, start = capture
        with self._lock:
            content = self._read(start) if number == self._begun else b""
            self._active -= 1
            if not self._active:
                self._restore()
            return content

    def disable(self) -> None:
        """Leave standard error as it is from now on."""
        with self._lock:
            self._is_enabled = False

    def _redirect(self) -> None:
        try:
            self._terminal = os.dup(STANDARD_ERROR)
        except OSError:  # standard error is closed, so nothing can be printed
            return
        self._file = self._file or _file_in_memory()
        os.dup2(self._file.fileno(), STANDARD_ERROR)
        self._is_redirected = True

    def _restore(self) -> None:
        if not self._is_redirected or self._file is None:
            return
        os.dup2(self._terminal, STANDARD_ERROR)
        os.close(self._terminal)
        size_bytes, self._is_redirected = self._size_bytes(), False
        if size_bytes:
            for line in os.pread(self._file.fileno(), MAX_BYTES, 0).splitlines(keepends=True):
                if _LOG_LINE.match(line):
                    os.write(STANDARD_ERROR, line)
            self._file.seek(0)
            self._file.truncate()

    def _size_bytes(self) -> int:
        return os.fstat(self._file.fileno()).st_size if self._is_redirected and self._file else 0

    def _read(self, start: int) -> bytes:
        if self._file is None or self._size_bytes() <= start:
            return b""
        content = os.pread(self._file.fileno(), MAX_BYTES, start)
        return b"".join(line for line in content.splitlines(keepends=True) if not _LOG_LINE.match(line))


def _file_in_memory() -> IO[bytes]:
    if not hasattr(os, "memfd_create"):
        return tempfile.TemporaryFile(buffering=0)
    file = os.fdopen(os.memfd_create("myna-native-output"), "wb+", buffering=0)
    atexit.register(file.close)
    return file


_redirection = _Redirection()


def disable() -> None:
    """Leave standard error as it is in this process, because another process collects its output."""
    _redirection.disable()
