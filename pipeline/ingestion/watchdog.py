"""The watchdog: a worker that hangs inside a decoder ends itself, so that its task can be sent again in another way.

Decoders check their time limit between blocks. A decoder that loops inside a block never checks it. The timer of the
system works without the interpreter and ends the process. It is set only if a nanny will start the worker again.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

from distributed import get_worker

_deadlines: dict[int, float] = {}
_lock = threading.Lock()


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End this worker if the body takes longer than `seconds`. Without a nanny, there is no limit."""
    if not _has_nanny():
        yield
        return
    with _lock:
        _deadlines[threading.get_ident()] = time.monotonic() + seconds
        _set_timer()
    try:
        yield
    finally:
        with _lock:
            del _deadlines[threading.get_ident()]
            _set_timer()


def _set_timer() -> None:
    """Set the only timer of the process to the earliest deadline of all threads."""
    remaining = min(_deadlines.values()) - time.monotonic() if _deadlines else 0.0
    signal.setitimer(signal.ITIMER_REAL, max(remaining, 1e-3) if _deadlines else 0.0)


def _has_nanny() -> bool:
    try:
        return bool(get_worker().nanny)
    except ValueError:  # this process is not a worker
        return False
