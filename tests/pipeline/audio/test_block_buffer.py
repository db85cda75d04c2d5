"""Memory for blocks is used again, and never by two decoders at the same time."""

from __future__ import annotations

import contextlib

from pipeline.audio.block_buffer import borrow


def test_decoders_at_the_same_time_have_memory_of_their_own():
    with borrow() as first, borrow() as second:
        assert first is not second


def test_memory_is_used_again_after_an_error():
    with contextlib.suppress(ValueError), borrow() as first:
        raise ValueError
    with borrow() as second:
        assert second is first
