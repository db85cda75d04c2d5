"""Standard output and standard error of a command, which neither an encoding nor a closed pipe can break.

With `--quiet`, progress is not written. Results, notes and errors are.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterator
from typing import TextIO

MAX_COLUMNS = 1_000
"""Characters of a line in a file, where nothing has to be left out."""


_quiet_commands: list[bool] = []
"""For each command that runs, the innermost last, whether it is quiet. Commands of a quiet command are quiet."""


class _Output(io.TextIOWrapper):
    """A stream that goes on without a reader, as after `command | head -1`: what nobody reads is dropped."""

    def write(self, text: str) -> int:
        """Write `text`, or drop it."""
        try:
            return super().write(text)
        except BrokenPipeError:
            self._drop_output()
            return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it."""
        try:
            super().flush()
        except BrokenPipeError:
            self._drop_output()

    def _drop_output(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def protect_output() -> None:
    """Make the output of this process robust. It stays so, because log handlers keep the streams.

    Characters that the encoding of the terminal lacks are escaped. A program that stops reading does not stop the
    command, whose work and exit status do not depend on who reads its output. Streams that something else has put into
    their place, such as a test or a notebook, keep their type.

    Standard error gets a descriptor of its own, because descriptor 2 is redirected while a native library is called
    (`pipeline.audio.native_output`), and what another thread prints at that moment must not be lost.
    """
    sys.stdout = _protect(sys.stdout, sys.__stdout__)
    sys.stderr = _protect(sys.stderr, sys.__stderr__, duplicate=True)


def terminal_columns() -> int:
    """Return the width of the terminal in characters, or a width that fits everything if there is none."""
    if not (sys.stdout and sys.stdout.isatty()):
        return MAX_COLUMNS
    return shutil.get_terminal_size().columns


@contextlib.contextmanager
def quiet(enabled: bool) -> Iterator[None]:
    """Write no progress within the context if `enabled`, or if a context around it says so."""
    _quiet_commands.append(enabled or is_quiet())
    try:
        yield
    finally:
        _quiet_commands.pop()


def is_quiet() -> bool:
    """Return whether progress is not to be written."""
    return bool(_quiet_commands) and _quiet_commands[-1]


def print_progress(line: str) -> None:
    """Print a line that says what begins or has ended, unless the command is quiet."""
    if not is_quiet():
        print(line, flush=True)


def flush_output() -> None:
    """Write what is buffered, before the interpreter does so and reports a closed pipe in its own way."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _protect(stream: TextIO, original: TextIO | None, duplicate: bool = False) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # also None, in a process without a terminal
        return stream
    if stream is not original:
        stream.reconfigure(errors="backslashreplace")
        return stream
    stream.flush()
    buffer = os.fdopen(os.dup(stream.fileno()), "wb") if duplicate else stream.buffer
    return _Output(
        buffer,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
