"""Windows read in runs of clips are those read clip by clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.inference.window_reader import RUN_FRAMES, WindowReader, runs
from model.inference.windows import Windowing
from stores.manifest import ClipRow

LENGTHS = [96, 300, 40, 0, 192, 97, 130, 500]


@pytest.fixture
def store(make_store):
    return make_store(LENGTHS)


def _rows(store):
    return [row for row in store.rows if row.state == "written"]


def _one_by_one(store, rows, windowing):
    """Each clip's windows, cut from the clip alone."""
    for row in rows:
        codes = store.codes(row.index)
        for start in windowing.starts(row.frames):
            window = np.zeros((128, 96), np.uint8)
            part = codes[:, start : start + 96]
            window[:, : part.shape[1]] = part
            yield window


@pytest.mark.parametrize("windowing", [Windowing(), Windowing(hop_frames=17), Windowing(tail="drop")])
@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_windows_are_those_of_each_clip_alone_as_codes_and_as_power(store, windowing, batch):
    rows = _rows(store)
    expected = np.stack(list(_one_by_one(store, rows, windowing)))
    codes = list(WindowReader(store, windowing, batch, as_codes=True).batches(rows))
    assert [len(one) for one in codes[:-1]] == [batch] * (len(codes) - 1)
    np.testing.assert_array_equal(np.concatenate(codes), expected)
    power = np.concatenate(list(WindowReader(store, windowing, batch, as_codes=False).batches(rows)))
    np.testing.assert_array_equal(power, store.quantizer.decode(expected))


def test_any_order_and_any_choice_of_clips_will_do(store):
    rows = _rows(store)[::-2]
    read = np.concatenate(list(WindowReader(store, Windowing(), 4, as_codes=True).batches(rows)))
    np.testing.assert_array_equal(read, np.stack(list(_one_by_one(store, rows, Windowing()))))


def _row(start, frames):
    return replace(ClipRow(0, "c", "c.wav", "g", ""), state="written", start_frame=start, frames=frames)


def test_runs_hold_neighbours_and_stay_below_their_length():
    side_by_side = [_row(100 * i, 100) for i in range(25)]
    found = list(runs(side_by_side, most_frames=1000))
    assert [len(run) for run in found] == [10, 10, 5]
    assert [row for run in found for row in run] == side_by_side


def test_a_gap_of_which_no_file_exists_is_never_read(make_store):
    store = make_store([100, 0, 200, 50])  # the refused clip's region was never written
    read = np.concatenate(list(WindowReader(store, Windowing(), 4, as_codes=True).batches(_rows(store))))
    np.testing.assert_array_equal(read, np.stack(list(_one_by_one(store, _rows(store), Windowing()))))
    assert [len(run) for run in runs([_row(0, 10), _row(11, 10)])] == [1, 1]


def test_clips_far_apart_long_clips_and_clips_in_another_order_are_runs_of_their_own():
    assert [len(run) for run in runs([_row(0, 10), _row(10 * RUN_FRAMES, 10)])] == [1, 1]
    assert [len(run) for run in runs([_row(0, 2 * RUN_FRAMES), _row(2 * RUN_FRAMES, 10)])] == [1, 1]
    assert [len(run) for run in runs([_row(100, 50), _row(0, 50), _row(50, 50)])] == [1, 2]
    assert list(runs([])) == []
