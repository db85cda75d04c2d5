"""Background prefetch keeps order and errors, prepares only a few items, and leaves no thread behind."""

from __future__ import annotations

import threading
import time

import pytest

from model.inference.prefetch import prefetch


def _threads():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_items_keep_their_order_and_the_thread_ends():
    assert list(prefetch(range(100))) == list(range(100))
    assert list(prefetch([])) == []
    assert _threads() == []


def test_only_a_few_items_are_prepared():
    prepared = []
    items = prefetch((prepared.append(i) or i for i in range(50)), depth=2)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(prepared) <= 1 + 2 + 1 + 1  # used, in the queue, waiting for room, and in preparation
    assert list(items) == list(range(1, 50))


def test_an_error_is_raised_at_the_position_of_its_item():
    def failing():
        yield 1
        raise RuntimeError("in the thread")

    items = prefetch(failing())
    assert next(items) == 1
    with pytest.raises(RuntimeError, match="in the thread"):
        next(items)
    assert _threads() == []


def test_stopping_early_leaves_no_thread_behind():
    items = prefetch(iter(range(10_000)))
    assert next(items) == 0
    items.close()
    assert _threads() == []


def test_none_is_a_valid_item():
    assert list(prefetch([1, None, 2, None])) == [1, None, 2, None]
