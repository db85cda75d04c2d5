"""The manifest: rows are read as they were written, and merging loses or doubles no clip."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stores import manifest
from stores.chunk_grid import Region
from stores.errors import CorruptArtifact
from stores.manifest import ClipRow

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
any_rows = st.lists(
    st.builds(
        ClipRow,
        index=st.integers(0, 1 << 40),
        id=text,
        source=text,
        group=text,
        split=st.sampled_from(["", "train", "valid", "test"]),
        labels=st.dictionaries(text, text, max_size=3),
        region_start=st.integers(0, 1 << 40),
        region_stop=st.integers(0, 1 << 40),
        state=st.sampled_from(manifest.STATES),
        reason=text,
        detail=text,
        source_digest=text,
        source_rate_hz=st.integers(0, 1 << 32),
        decoder=text,
        start_frame=st.integers(0, 1 << 40),
        frames=st.integers(0, 1 << 40),
        bound_frames=st.integers(0, 1 << 40),
        member=text,
        cut_start_seconds=st.floats(0, 1e9),
        cut_seconds=st.floats(0, 1e9),
        silent=st.booleans(),
    ),
    max_size=8,
)


def _rows(*regions, state="planned"):
    """Return two clips in each of the regions."""
    return [
        ClipRow(2 * k + i, f"clip-{2 * k + i}", "s", "g", "", region_start=start, region_stop=stop, state=state)
        for k, (start, stop) in enumerate(regions)
        for i in range(2)
    ]


@given(any_rows)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
def test_rows_are_read_as_they_were_written(tmp_path, rows):
    manifest.write(tmp_path / "m.parquet", rows)
    assert manifest.read(tmp_path / "m.parquet") == rows


@given(any_rows)
def test_rows_can_be_converted_to_arrow_and_back(rows):
    assert manifest.from_table(manifest.to_table(rows)) == rows


def test_the_same_rows_give_the_same_bytes(tmp_path):
    rows = [replace(row, labels={"b": "2", "a": "1"}) for row in _rows((0, 64))]
    other = [replace(row, labels={"a": "1", "b": "2"}) for row in _rows((0, 64))]
    manifest.write(tmp_path / "a", rows)
    manifest.write(tmp_path / "b", other)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_plain_parquet_reads_the_columns(tmp_path):
    manifest.write(tmp_path / "m.parquet", _rows((0, 64)))
    assert pq.read_table(tmp_path / "m.parquet").column("id").to_pylist() == ["clip-0", "clip-1"]


def test_other_columns_are_an_error():
    with pytest.raises(CorruptArtifact, match="this version reads"):
        manifest.from_table(pa.table({"index": [1], "name": ["x"]}))


def test_a_truncated_file_is_an_error(tmp_path):
    manifest.write(tmp_path / "m.parquet", _rows((0, 64)))
    content = (tmp_path / "m.parquet").read_bytes()
    for size in (0, 3, 100, len(content) - 1):
        (tmp_path / "m.parquet").write_bytes(content[:size])
        with pytest.raises(CorruptArtifact, match=r"m\.parquet"):
            manifest.read(tmp_path / "m.parquet")


@pytest.mark.parametrize("position", range(4, 400, 23))
def test_damaged_pages_are_an_error_and_never_give_other_rows(tmp_path, position):
    manifest.write(tmp_path / "m.parquet", _rows((0, 64), (64, 128)))
    content = bytearray((tmp_path / "m.parquet").read_bytes())
    content[position : position + 8] = b"\xff" * 8
    (tmp_path / "m.parquet").write_bytes(content)
    with contextlib.suppress(CorruptArtifact):  # some bytes have no effect, and then the rows are unchanged
        assert manifest.read(tmp_path / "m.parquet") == _rows((0, 64), (64, 128))


def test_planned_regions_are_those_of_planned_rows_in_order():
    rows = _rows((64, 192), (0, 64))
    assert manifest.planned_regions(rows) == [Region(0, 64, (2, 3)), Region(64, 192, (0, 1))]
    assert manifest.planned_regions([replace(row, state="written") for row in rows]) == []
    half = [replace(rows[0], state="refused"), *rows[1:]]
    assert manifest.planned_regions(half) == [Region(0, 64, (2, 3)), Region(64, 192, (1,))]


def test_assigned_regions_are_returned_again():
    rows = [replace(row, region_start=0, region_stop=0) for row in _rows((0, 0), (0, 0))]
    planned = [Region(0, 64, (0, 1, 2)), Region(64, 128, (3,))]
    assert manifest.planned_regions(manifest.assign_regions(rows, planned)) == planned


def test_the_frame_axis_ends_with_the_last_region():
    assert manifest.total_frames(_rows((64, 192), (0, 64))) == 192
    assert manifest.total_frames([]) == 0


def test_merging_replaces_planned_rows_by_done_rows():
    rows = _rows((0, 64), (64, 128))
    done = [replace(rows[2], state="written", frames=9), replace(rows[3], state="refused", reason="too_short")]
    assert manifest.merge(rows, done) == [rows[0], rows[1], *done]


@given(st.permutations(range(4)), st.sampled_from(["planned", "written", "refused"]))
def test_merging_twice_is_merging_once_in_any_order(order, state):
    rows = _rows((0, 64), (64, 128))
    done = [replace(rows[i], state=state, frames=i + 1) for i in order]
    once = manifest.merge(rows, done)
    assert manifest.merge(once, done) == once
    assert manifest.merge(once, done[::-1]) == once


def test_a_row_that_was_planned_again_is_not_replaced_by_an_old_row():
    rows = _rows((0, 64))
    stale = replace(rows[1], frames=100)
    moved = [rows[0], replace(rows[1], region_start=64, region_stop=192)]
    assert manifest.merge(moved, [stale]) == moved


def test_a_written_row_stays_written():
    written = _rows((0, 64), state="written")
    assert manifest.merge(written, [replace(written[0], state="refused")]) == written


def test_rejected_rows_are_counted_by_reason():
    rows = _rows((0, 64), (64, 128))
    rows[1] = replace(rows[1], state="refused", reason="too_short")
    rows[2] = replace(rows[2], state="written")
    assert manifest.count_states(rows) == {"planned": 2, "refused: too_short": 1, "written": 1}


def test_a_changed_byte_is_an_error_or_changes_no_row(tmp_path):
    rows = [
        ClipRow(n, f"clip-{n}", f"{n}.wav", "g", "", {"mood": "calm"}, frames=n, codes_digest="f" * 32)
        for n in range(20)
    ]
    manifest.write(tmp_path / "m.parquet", rows)
    content, corrupt = (tmp_path / "m.parquet").read_bytes(), 0
    for position in range(0, len(content), 23):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        (tmp_path / "m.parquet").write_bytes(changed)
        try:
            assert manifest.read(tmp_path / "m.parquet") == rows
        except CorruptArtifact:
            corrupt += 1
    assert corrupt > len(content) // 23 // 3
