"""Signals that stop a command as Ctrl-C does: SIGTERM of a scheduler, and SIGHUP of a terminal that is closed.

Their default effect ends a process at once. Then temporary files stay, and nothing says that finished work is kept.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from stores.errors import STATUS_HUNG_UP, STATUS_STOPPED, StoppedBySignal

_STATUS = {signal.SIGTERM: STATUS_STOPPED, signal.SIGHUP: STATUS_HUNG_UP}


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise `StoppedBySignal` in the body when the first of the signals arrives.

    Further ones are ignored, because launchers repeat them, and `timeout` sends each twice. Ctrl-C is not.

    This has an effect only in the main thread. A signal that is ignored, as SIGHUP is below `nohup`, or that has a
    handler of its own, keeps it.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    handled = [number for number in _STATUS if in_main_thread and signal.getsignal(number) is signal.SIG_DFL]
    process, has_stopped = os.getpid(), False

    def stop(number: int, _frame: FrameType | None) -> None:
        """Raise the interruption once, or have the default effect in a fork of the process."""
        nonlocal has_stopped
        if os.getpid() != process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if has_stopped:
            return
        has_stopped = True
        raise StoppedBySignal(f"by {signal.Signals(number).name}", _STATUS[signal.Signals(number)])

    for number in handled:
        signal.signal(number, stop)
        _HANDLERS.add(stop)
    try:
        yield
    finally:
        _HANDLERS.discard(stop)
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


_HANDLERS: set[object] = set()


def is_usual(handler: object) -> bool:
    """Return whether a handler is the default one or that of `stop_on_signals`, and may be replaced for a while."""
    return handler in (signal.SIG_DFL, signal.default_int_handler) or handler in _HANDLERS
