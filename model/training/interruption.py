"""Deferred interruption: Ctrl-C and signals wait for the current step, because half a step cannot be saved.

Schedulers send SIGTERM, and SIGUSR1 if they are asked to, before they kill a process. A terminal that is closed sends
SIGHUP. A second Ctrl-C interrupts at once. Further signals are ignored while the run saves, because a launcher repeats
them.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from enum import IntEnum
from types import FrameType
from typing import Literal

from stores.errors import STATUS_HUNG_UP, StoppedBySignal
from stores.stop_signals import is_usual

OnSigusr1 = Literal["exit", "save"]


class Request(IntEnum):
    """A request that a signal makes of a run. If several arrive, the highest counts."""

    NONE = 0
    SAVE = 1
    """Save a checkpoint and go on."""
    INTERRUPT = 2
    """Save a checkpoint and stop, as after Ctrl-C."""
    TERMINATE = 3
    """Save a checkpoint and stop, as a scheduler asks."""
    HANG_UP = 4
    """Save a checkpoint and stop, because the terminal was closed."""

    def stop(self, where: str) -> None:
        """Raise the interruption that ends the command, with the place where it stopped.

        Raises:
            KeyboardInterrupt: after Ctrl-C.
            StoppedBySignal: after a signal of a scheduler or of a terminal.
        """
        if self is Request.INTERRUPT:
            raise KeyboardInterrupt(where)
        if self is Request.TERMINATE:
            raise StoppedBySignal(where)
        if self is Request.HANG_UP:
            raise StoppedBySignal(where, STATUS_HUNG_UP)


class Requests:
    """The requests that have arrived and are not yet fulfilled."""

    def __init__(self) -> None:
        self._arrived = Request.NONE

    def add(self, request: Request) -> None:
        """Add a request."""
        self._arrived = max(self._arrived, request)

    def take(self) -> Request:
        """Return the highest request that has arrived. A request to save is fulfilled by it, and the others remain."""
        request = self._arrived
        if request is Request.SAVE:
            self._arrived = Request.NONE
        return request


@contextlib.contextmanager
def defer_interruption(on_sigusr1: OnSigusr1 = "exit", *, repeats_interrupt: bool = True) -> Iterator[Requests]:
    """Hold back Ctrl-C, SIGTERM, SIGHUP and SIGUSR1, and yield the requests that they make.

    This has an effect only in the main thread. A signal that is ignored, as Ctrl-C is in the background, or that has
    a handler of its own, keeps it.

    Args:
        on_sigusr1: request of SIGUSR1.
        repeats_interrupt: a second Ctrl-C interrupts at once.
    """
    requests = Requests()
    handled = {
        signal.SIGINT: Request.INTERRUPT,
        signal.SIGTERM: Request.TERMINATE,
        signal.SIGHUP: Request.HANG_UP,
        signal.SIGUSR1: Request.SAVE if on_sigusr1 == "save" else Request.TERMINATE,
    }

    def defer(number: int, _frame: FrameType | None) -> None:
        """Record the request. After the first Ctrl-C, the next one has its usual effect."""
        requests.add(handled[signal.Signals(number)])
        if number == signal.SIGINT and repeats_interrupt:
            signal.signal(number, signal.default_int_handler)

    previous = _defaults(handled)
    for number in previous:
        signal.signal(number, defer)
    try:
        yield requests
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _defaults(numbers: Mapping[signal.Signals, Request]) -> dict[signal.Signals, signal._HANDLER]:
    """Return those of the signals that have their default effect, with its handler."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in numbers}
    return {number: handler for number, handler in handlers.items() if is_usual(handler)}
