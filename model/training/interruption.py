"""Deferred interruption: the first Ctrl-C waits for the current step, because half a step cannot be saved."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def defer_interruption() -> Iterator[Callable[[], bool]]:
    """Hold back the first Ctrl-C; the yielded function returns whether it was pressed. A second one interrupts at once.

    This has an effect only in the main thread, and only where Python's default handler is installed.
    """
    pressed = threading.Event()
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not is_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed.is_set
        return

    def defer(_signal: int, _frame: FrameType | None) -> None:
        """Record the first Ctrl-C and restore the default handler for the next one."""
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, defer)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
