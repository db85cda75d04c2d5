"""Windows that are read in runs of clips equal those that are read clip by clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.inference.window_reader import MAX_RUN_FRAMES, WindowReader, neighboring_clips
from model.inference.windows import Windowing
from stores.manifest import ClipRow

LENGTHS = [96, 300, 40, 0, 192, 97, 130, 500]


@pytest.fixture
def store(make_store):
    return make_store(LENGTHS)


def _rows(store):
    return [row for row in store.rows if row.state == "written"]


def _one_by_one(store, rows, windowing):
    """Yield the windows of each clip, cut from this clip alone."""
    for row in rows:
        codes = store.codes(row.index)
        for start in windowing.starts(row.frames):
            window = np.zeros((128, 96), np.uint8)
            part = codes[:, start : start + 96]
            window[:, : part.shape[1]] = part
            yield window


@pytest.mark.parametrize("windowing", [Windowing(), Windowing(hop_frames=17), Windowing(tail="drop")])
@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_windows_equal_those_of_single_clips_as_codes_and_as_power(store, windowing, batch):
    rows = _rows(store)
    expected = np.stack(list(_one_by_one(store, rows, windowing)))
    codes = list(WindowReader(store, windowing, batch, as_codes=True).batches(rows))
    assert [len(window_batch) for window_batch in codes[:-1]] == [batch] * (len(codes) - 1)
    np.testing.assert_array_equal(np.concatenate(codes), expected)
    power = np.concatenate(list(WindowReader(store, windowing, batch, as_codes=False).batches(rows)))
    np.testing.assert_array_equal(power, store.quantizer.decode(expected))


def test_clips_can_be_read_in_any_order(store):
    rows = _rows(store)[::-2]
    read = np.concatenate(list(WindowReader(store, Windowing(), 4, as_codes=True).batches(rows)))
    np.testing.assert_array_equal(read, np.stack(list(_one_by_one(store, rows, Windowing()))))


def _row(start, frames):
    return replace(ClipRow(0, "c", "c.wav", "g", ""), state="written", start_frame=start, frames=frames)


def test_runs_hold_neighbors_up_to_the_limit():
    neighbors = [_row(100 * i, 100) for i in range(25)]
    runs = list(neighboring_clips(neighbors, max_frames=1000))
    assert [len(run) for run in runs] == [10, 10, 5]
    assert [row for run in runs for row in run] == neighbors


def test_a_gap_without_a_file_is_not_read(make_store):
    store = make_store([100, 0, 200, 50])  # the region of the rejected clip was never written
    read = np.concatenate(list(WindowReader(store, Windowing(), 4, as_codes=True).batches(_rows(store))))
    np.testing.assert_array_equal(read, np.stack(list(_one_by_one(store, _rows(store), Windowing()))))
    assert [len(run) for run in neighboring_clips([_row(0, 10), _row(11, 10)])] == [1, 1]


def test_distant_long_and_unordered_clips_are_runs_of_their_own():
    limit = MAX_RUN_FRAMES
    assert [len(run) for run in neighboring_clips([_row(0, 10), _row(10 * limit, 10)])] == [1, 1]
    assert [len(run) for run in neighboring_clips([_row(0, 2 * limit), _row(2 * limit, 10)])] == [1, 1]
    assert [len(run) for run in neighboring_clips([_row(100, 50), _row(0, 50), _row(50, 50)])] == [1, 2]
    assert list(neighboring_clips([])) == []
