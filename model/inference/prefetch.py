"""Background prefetch: a thread prepares the next items while the caller uses the current one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar, cast

Item = TypeVar("Item")

_END = object()


def prefetch(items: Iterable[Item], depth: int = 2) -> Generator[Item, None, None]:
    """Yield the same items in the same order, with up to `depth` of them prepared by a thread.

    Raises:
        BaseException: the exception that preparing an item raised, at the position of this item.
    """
    ready: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()
    errors: list[BaseException] = []

    def put(item: object) -> bool:
        """Return True when the queue has accepted the item, and False if the caller has stopped."""
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def prepare() -> None:
        """Put all items and the end mark into the queue."""
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001 -- raised again in the caller's thread
            errors.append(error)
        put(_END)

    thread = threading.Thread(target=prepare, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            yield cast(Item, item)
        if errors:
            raise errors[0]
    finally:
        stopped.set()
        thread.join()
