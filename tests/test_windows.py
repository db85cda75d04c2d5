"""Where windows lie, against a reader's definition: every hop, the whole clip covered, the last one at its end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.inference.windows import window_starts
from stores.errors import InvalidInput

SIZES = st.integers(1, 400)


def _brute_force(clip, window, hop):
    if clip <= window:
        return [0]
    starts = {start for start in range(clip) if start % hop == 0 and start + window <= clip}
    return sorted(starts | {clip - window})


@given(SIZES, SIZES, SIZES)
def test_starts_are_those_of_a_search_over_all_frames(clip, window, hop):
    assert window_starts(clip, window, hop) == _brute_force(clip, window, hop)


@given(SIZES, SIZES, SIZES)
def test_every_frame_is_covered_where_the_hop_is_no_longer_than_the_window(clip, window, hop):
    starts = window_starts(clip, window, min(hop, window))
    assert {frame for start in starts for frame in range(start, min(start + window, clip))} == set(range(clip))


@pytest.mark.parametrize(
    ("clip", "starts"), [(96, [0]), (97, [0, 1]), (192, [0, 96]), (313, [0, 96, 192, 217]), (5, [0])]
)
def test_windows_of_three_seconds_on_clips_one_knows(clip, starts):
    assert window_starts(clip, 96, 96) == starts


@pytest.mark.parametrize("sizes", [(0, 96, 96), (96, 0, 96), (96, 96, 0), (-1, 96, 96)])
def test_numbers_that_are_not_positive_are_refused(sizes):
    with pytest.raises(InvalidInput, match="all must be positive"):
        window_starts(*sizes)
