"""The log file of a command: its messages with their times. Each run appends to it."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from stores.errors import InvalidInput


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name is given by logging
        """Ignore a line that cannot be written. If the disk is full, writing the store raises the error."""


@contextlib.contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Write the log messages of `pipeline` to `path` too, with the command line first and the outcome last.

    Raises:
        InvalidInput: the file cannot be written.
    """
    root = logging.getLogger("pipeline")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InvalidInput(f"the log cannot be written: {error}; choose a --store in a writable folder") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    root.info("started: %s", " ".join(sys.argv))
    try:
        yield
        root.info("ended")
    except BaseException as error:
        root.error("stopped: %s: %s", type(error).__name__, error)
        raise
    finally:
        root.removeHandler(handler)
        with contextlib.suppress(OSError):  # lines that a full disk did not take
            handler.close()
