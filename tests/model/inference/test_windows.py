"""Windows, parts and spans are compared with simple loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.inference.windows import Windowing, window_starts
from stores.errors import InvalidInput

LENGTHS = [96, 300, 40, 192, 97, 130]


@pytest.mark.parametrize(
    ("frames", "hop", "right", "drop"),
    [
        (96, 96, [0], [0]),
        (97, 96, [0, 1], [0]),
        (191, 96, [0, 95], [0]),
        (192, 96, [0, 96], [0, 96]),
        (313, 96, [0, 96, 192, 217], [0, 96, 192]),
        (192, 48, [0, 48, 96], [0, 48, 96]),
        (200, 48, [0, 48, 96, 104], [0, 48, 96]),
        (40, 96, [0], [0]),
        (1, 1, [0], [0]),
        (300, 500, [0, 204], [0]),
    ],
)
def test_the_last_window_ends_with_the_clip_or_is_dropped(frames, hop, right, drop):
    assert window_starts(frames, 96, hop) == right
    assert window_starts(frames, 96, hop, "drop") == drop


@given(st.integers(1, 400), st.integers(1, 120), st.integers(1, 150), st.sampled_from(["right", "drop"]))
def test_window_starts_equal_those_of_a_simple_loop(frames, window, hop, tail):
    expected, start = [], 0
    while start + window <= frames:
        expected.append(start)
        start += hop
    if not expected:
        expected = [0]  # padded
    elif tail == "right" and expected[-1] + window < frames:
        expected.append(frames - window)
    assert window_starts(frames, window, hop, tail) == expected


@pytest.mark.parametrize(("frames", "hop"), [(0, 96), (96, 0), (-1, 96)])
def test_numbers_that_are_not_positive_are_rejected(frames, hop):
    with pytest.raises(InvalidInput, match="must be positive"):
        window_starts(frames, 96, hop)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"hop_frames": 0}, "must be positive"), ({"tail": "left"}, "tail 'left'"), ({"pool": "max"}, "pool 'max'")],
)
def test_invalid_settings_are_rejected(settings, message):
    with pytest.raises(InvalidInput, match=message):
        Windowing(**settings)


def test_pooled_rows_are_clips_and_short_clips_are_flagged():
    spans = Windowing().spans(LENGTHS, 0.032)
    assert spans.clip.tolist() == [0, 1, 2, 3, 4, 5]
    assert spans.windows.tolist() == [1, 4, 1, 2, 2, 2]
    assert spans.start_seconds.tolist() == [0] * 6
    assert spans.padded.tolist() == [False, False, True, False, False, False]
    assert Windowing().count_rows(LENGTHS) == 6


def test_without_pooling_each_row_states_the_start_of_its_window():
    windowing = Windowing(pool="none")
    spans = windowing.spans(LENGTHS, 0.032)
    assert spans.clip.tolist() == [0, 1, 1, 1, 1, 2, 3, 3, 4, 4, 5, 5]
    starts = np.array([0, 0, 96, 192, 204, 0, 0, 96, 0, 1, 0, 34])
    np.testing.assert_allclose(spans.start_seconds, starts * 0.032)
    assert spans.padded.nonzero()[0].tolist() == [5]
    assert set(spans.windows.tolist()) == {1}
    assert windowing.count_rows(LENGTHS) == windowing.count_windows(LENGTHS) == len(spans) == 12


def test_parts_hold_whole_clips_in_order_up_to_the_maximum():
    windowing = Windowing()
    assert windowing.parts(LENGTHS, 5) == [[0, 1], [2, 3, 4], [5]]
    assert windowing.parts(LENGTHS, 1) == [[0], [1], [2], [3], [4], [5]]  # a longer clip is a part of its own
    assert windowing.parts(LENGTHS, 100) == [[0, 1, 2, 3, 4, 5]]
