"""One clip, two clips."""

from __future__ import annotations

from stores.labels import count_noun


def test_one_is_singular_and_all_others_are_not():
    assert [count_noun(count, "clip") for count in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]
