"""One clip, two clips."""

from __future__ import annotations

from stores.counted import counted


def test_one_is_singular_and_all_others_are_not():
    assert [counted(count, "clip") for count in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]
