"""Counts with their nouns."""

from __future__ import annotations

from stores.labels import count_noun


def test_only_a_count_of_one_is_singular():
    assert [count_noun(count, "clip") for count in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]
