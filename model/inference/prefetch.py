"""Work done ahead of who needs it: an iterator that runs in a thread of its own, a few items in front."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar, cast

Item = TypeVar("Item")

_END = object()


def prefetched(items: Iterable[Item], depth: int = 2) -> Generator[Item, None, None]:
    """The same items in the same order, made while the caller is busy with those before; at most `depth` wait.

    Raises:
        BaseException: what making an item raised, where that item would have come.
    """
    waiting: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()
    failed: list[BaseException] = []

    def put(item: object) -> bool:
        """Whether it was taken; False once nobody waits any more."""
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        """The thread's body."""
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001 -- it is raised again where the items are used
            failed.append(error)
        put(_END)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            yield cast(Item, item)
        if failed:
            raise failed[0]
    finally:
        stopped.set()
        thread.join()
