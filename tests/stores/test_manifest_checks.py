"""Numbers of a manifest that are impossible are an error when the store is opened, before anything is read by them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_stores import SMALL_GRID

from stores import manifest
from stores.errors import CorruptArtifact
from stores.manifest import ClipRows
from stores.manifest_checks import find_problem
from stores.mel_store import MelStore

LENGTHS = [40, 20, 64, 0, 200, 7]


def _change(store, clip, values):
    rows = [replace(row, **values) if row.index == clip else row for row in store.rows]
    manifest.write(store.path / "manifest.parquet", rows)


@pytest.mark.parametrize(
    ("clip", "values", "message"),
    [
        (1, {"index": 5}, "indices"),
        (1, {"state": "writen"}, "state of row 1"),
        (1, {"frames": -1}, "frames of its rows"),
        (1, {"frames": 0}, "not inside its region"),
        (1, {"frames": 1 << 60}, "frames of its rows"),
        (1, {"frames": 65}, "'clip-1'.*not inside its region"),
        (1, {"start_frame": 1 << 62}, "start_frame of its rows"),
        (2, {"start_frame": 0}, "'clip-2'.*not inside its region"),
        (1, {"bound_frames": -7}, "bound_frames of its rows"),
        (2, {"region_stop": 0}, "ends before it starts"),
        (1, {"region_start": 65, "region_stop": 129}, "whole Zarr shards"),
        (1, {"start_frame": 30}, "the same frames"),
        (3, {"region_stop": 1 << 61}, "region_stop of its rows"),
    ],
)
def test_impossible_numbers_are_an_error_when_a_store_is_opened(make_store, clip, values, message):
    store = make_store(LENGTHS)
    _change(store, clip, values)
    with pytest.raises(CorruptArtifact, match=message):
        MelStore.open(store.path)


def test_a_region_beyond_the_array_is_an_error(make_store):
    store = make_store([40, 20])
    _change(store, 1, {"region_start": 640, "region_stop": 704, "start_frame": 640})
    with pytest.raises(CorruptArtifact, match="does not match this store in shape"):
        MelStore.open(store.path)


def test_frames_of_unlisted_clips_may_not_be_given_to_others(make_store):
    store = make_store([40, 20])
    unlisted = replace(store.rows[0], state="unlisted")
    other = replace(store.rows[1], region_start=0, region_stop=64, start_frame=10)
    assert "the same frames" in find_problem(ClipRows.of([unlisted, other]), SMALL_GRID)


def test_clips_may_be_stored_in_any_order(make_store):
    first, second = make_store([40, 20]).rows
    swapped = [replace(second, index=0), replace(first, index=1)]
    assert find_problem(ClipRows.of(swapped), SMALL_GRID) == ""


def test_an_empty_manifest_is_sound():
    assert find_problem(ClipRows.of([]), SMALL_GRID) == ""
