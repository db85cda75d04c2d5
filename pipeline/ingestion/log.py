"""The log file of a command: what it told and more, with times, appended run after run."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from stores.errors import InvalidInput


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Nothing: on a full disk what matters is told by whoever writes the store, not once more for every line."""


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """Write what our code logs to `path` as well, beginning with the command line and ending with how it ended.

    Raises:
        InvalidInput: if the file cannot be written.
    """
    root = logging.getLogger("pipeline")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InvalidInput(f"the log cannot be written: {error}; choose a --store where you may write") from error
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
        with contextlib.suppress(OSError):  # what a full disk did not take
            handler.close()
