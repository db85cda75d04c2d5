"""A worker that hangs inside a decoder ends itself, so that somebody else can find out why.

Decoders look at their time limit between blocks; one that loops inside a block never looks. The system's own timer
does, without any help of the interpreter, and ends the process. That is only done where a nanny starts it again.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

from distributed import get_worker

_deadlines: dict[int, float] = {}
_changing = threading.Lock()


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """End this worker if the body takes longer, provided that the worker has a nanny; otherwise do nothing."""
    if not _has_nanny():
        yield
        return
    with _changing:
        _deadlines[threading.get_ident()] = time.monotonic() + seconds
        _arm()
    try:
        yield
    finally:
        with _changing:
            del _deadlines[threading.get_ident()]
            _arm()


def _arm() -> None:
    """Set the one timer that a process has to the first of the deadlines of all threads."""
    left = min(_deadlines.values()) - time.monotonic() if _deadlines else 0.0
    signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3) if _deadlines else 0.0)


def _has_nanny() -> bool:
    try:
        return bool(get_worker().nanny)
    except ValueError:  # no worker at all
        return False
