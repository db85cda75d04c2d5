"""Rows whose columns stay in Arrow behave like a list, whether they are in memory, in a file, or a view of either."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import arrow_columns, arrow_rows, manifest
from stores.errors import CorruptArtifact
from stores.manifest import ClipRow, ClipRows

COUNT = 23


def _clips(count=COUNT):
    states = ("written", "refused", "planned", "unlisted")
    return [
        ClipRow(
            n, f"clip-{n}", f"{n}.wav", "g", ("train", "test", "")[n % 3], {"n": str(n)}, state=states[n % 4], frames=n
        )
        for n in range(count)
    ]


@pytest.fixture(params=["memory", "file", "view", "view of a file"])
def rows(request, tmp_path, monkeypatch):
    """The same rows in several forms, in groups of five rows."""
    for module in (arrow_columns, arrow_rows, manifest):
        monkeypatch.setattr(module, "GROUP_ROWS", 5)
    in_order = "view" not in request.param
    clips = _clips() if in_order else _clips()[::-1]
    if "file" in request.param:
        manifest.write(tmp_path / "m.parquet", clips)
        found = manifest.read(tmp_path / "m.parquet")
    else:
        found = ClipRows.of(clips)
    return found if in_order else found.take(np.arange(COUNT)[::-1])


def test_rows_are_a_sequence_like_a_list(rows):
    clips = _clips()
    assert len(rows) == COUNT
    assert rows == clips
    assert list(rows) == clips
    assert [rows[i] for i in range(-COUNT, COUNT)] == [clips[i] for i in range(-COUNT, COUNT)]
    assert rows != clips[:-1]
    assert rows != [*clips[:-1], replace(clips[-1], split="valid")]
    for outside in (COUNT, -COUNT - 1):
        with pytest.raises(IndexError):
            rows[outside]


@pytest.mark.parametrize(
    "part", [slice(3), slice(7, 12), slice(-4, None), slice(None, None, -1), slice(20, 2, -3), slice(9, 9)]
)
def test_slices_are_those_of_a_list_and_can_be_sliced_again(rows, part):
    clips = _clips()
    assert rows[part] == clips[part]
    assert list(rows[part]) == clips[part]
    assert rows[part][1:] == clips[part][1:]
    assert rows[part].table().num_rows == len(clips[part])


@given(st.lists(st.integers(0, COUNT - 1), max_size=40))
def test_rows_are_taken_in_any_order_and_repeatedly(positions):
    clips = _clips()
    assert list(ClipRows.of(clips).take(positions)) == [clips[i] for i in positions]


def test_taken_rows_of_every_form_are_those_at_the_positions(rows):
    positions = [22, 3, 3, 0, 11, 12]
    assert list(rows.take(positions)) == [_clips()[i] for i in positions]
    np.testing.assert_array_equal(rows.take(positions).numbers("frames"), positions)


def test_a_selection_holds_the_rows_with_the_values(rows):
    clips = _clips()
    assert rows.select(state="written") == [row for row in clips if row.state == "written"]
    both = rows.select(state=("written", "refused"), split="test")
    assert both == [row for row in clips if row.state in ("written", "refused") and row.split == "test"]
    assert both.select(state="refused") == [row for row in both if row.state == "refused"]
    assert len(rows.select(split="valid")) == 0
    assert list(rows.select(split="valid")) == []


def test_ids_are_found_at_their_positions(rows):
    assert rows.index_of(["clip-7", "none", "clip-0"]).tolist() == [7, -1, 0]
    assert rows.index_of([]).tolist() == []


def test_columns_can_be_replaced(rows):
    changed = rows.with_columns(frames=np.arange(COUNT) * 2, state=["planned"] * COUNT)
    assert changed == [replace(row, frames=2 * row.index, state="planned") for row in _clips()]
    assert rows == _clips()


def test_rows_can_be_replaced_and_joined(rows):
    other = replace(_clips()[4], split="valid")
    assert rows.with_rows([4], [other]) == [*_clips()[:4], other, *_clips()[5:]]
    assert rows.with_rows([], []) == _clips()
    assert ClipRows.concat([rows[:2], [other], rows[:0]]) == [*_clips()[:2], other]


def test_pickled_rows_are_the_same(rows):
    assert pickle.loads(pickle.dumps(rows)) == _clips()


def test_rows_of_a_file_are_those_of_the_time_when_it_was_opened(tmp_path):
    manifest.write(tmp_path / "m.parquet", _clips())
    rows = manifest.read(tmp_path / "m.parquet")
    manifest.write(tmp_path / "m.parquet", _clips(2))
    assert rows == _clips()


def test_a_file_that_is_cut_short_while_it_is_open_is_an_error_and_not_a_crash(tmp_path):
    manifest.write(tmp_path / "m.parquet", _clips(200))
    rows = manifest.read(tmp_path / "m.parquet")
    os.truncate(tmp_path / "m.parquet", 8)
    with pytest.raises((CorruptArtifact, OSError)):
        list(rows)


def test_an_empty_manifest_has_no_rows(tmp_path):
    manifest.write(tmp_path / "m.parquet", [])
    rows = manifest.read(tmp_path / "m.parquet")
    assert rows == []
    assert list(rows) == []
    assert (rows.table().num_rows, rows.numbers("frames").tolist()) == (0, [])
