"""Work ahead: the same items in order, a few in front, errors where they belong, and no thread left behind."""

from __future__ import annotations

import threading
import time

import pytest

from model.inference.prefetch import prefetched


def _threads():
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_items_come_in_order_and_the_thread_ends():
    assert list(prefetched(range(100))) == list(range(100))
    assert list(prefetched([])) == []
    assert _threads() == []


def test_only_a_few_are_made_in_front():
    made = []
    items = prefetched((made.append(i) or i for i in range(50)), depth=2)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(made) <= 1 + 2 + 1 + 1  # used, waiting, held for room, and the one being made
    assert list(items) == list(range(1, 50))


def test_an_error_comes_where_its_item_would_have():
    def failing():
        yield 1
        raise RuntimeError("in the thread")

    items = prefetched(failing())
    assert next(items) == 1
    with pytest.raises(RuntimeError, match="in the thread"):
        next(items)
    assert _threads() == []


def test_who_stops_early_leaves_no_thread_behind():
    items = prefetched(iter(range(10_000)))
    assert next(items) == 0
    items.close()
    assert _threads() == []


def test_none_is_an_item_like_any_other():
    assert list(prefetched([1, None, 2, None])) == [1, None, 2, None]
