"""Tests of the plan of an ingest: rows, bounds and regions."""

from __future__ import annotations

import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import synthetic_audio
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.track import Track
from pipeline.ingestion import plan
from pipeline.ingestion.config import Limits
from pipeline.ingestion.plan import assign_new_regions, bound_frames, plan_rows, replan, stated_bound_frames
from stores import manifest
from stores.chunk_grid import ChunkGrid
from stores.errors import InvalidInput
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec

ROOT = Path("/data")
GRID = ChunkGrid(16, 64)
SPEC = MelSpec()


def _tracks(count):
    return [Track(f"clip-{i}", ROOT / "deep" / f"{i}.wav", f"g{i}", "train", {"key": "C"}) for i in range(count)]


def _track(path, **changed):
    return Track("x", path, "x", **changed)


def _rows(count):
    return plan_rows(_tracks(count), ROOT)


def test_each_track_becomes_a_row_with_the_next_index():
    rows = plan_rows(_tracks(3), ROOT, first_index=5)
    assert [row.index for row in rows] == [5, 6, 7]
    expected = ClipRow(5, "clip-0", "deep/0.wav", "g0", "train", {"key": "C"})
    assert rows[0] == expected


def test_a_plan_without_tracks_is_an_error():
    with pytest.raises(InvalidInput, match="no audio found under /data"):
        plan_rows([], ROOT)


def test_the_error_for_two_tracks_with_one_id_names_both_files():
    tracks = [*_tracks(2), replace(_tracks(1)[0], path=ROOT / "other.wav")]
    with pytest.raises(InvalidInput, match=r"two tracks have the id 'clip-0': /data/deep/0.wav and /data/other.wav"):
        plan_rows(tracks, ROOT)


def test_a_utf8_name_under_an_ascii_locale_is_rejected_with_advice():
    name = "é.wav".encode().decode("ascii", "surrogateescape")
    [row] = plan_rows([Track(name, ROOT / name, "g")], ROOT)
    assert row.reason == "bad_name"
    assert row.detail.startswith("é.wav is UTF-8")
    assert "set PYTHONUTF8=1" in row.detail


def test_names_that_are_not_utf8_are_rejected_and_stay_distinct():
    names = [os.fsdecode(name) for name in (b"\xe9.wav", b"\xe8.wav", b"\\xe9.wav")]
    rows = plan_rows([Track(name, ROOT / name, name, labels={"mood": name}) for name in names], ROOT)
    assert [row.state for row in rows] == ["refused", "refused", "planned"]
    assert (rows[0].id, rows[0].reason) == ("b'\\xe9.wav'", "bad_name")
    assert "rename it" in rows[0].detail
    assert len({row.id for row in rows}) == 3
    manifest.to_table(rows)
    members = plan_rows([Track("a", ROOT / "x.tar", "g", member=names[0])], ROOT)
    assert (members[0].id, members[0].reason) == ("a", "bad_name")
    manifest.to_table(members)


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".m4a", ".opus"])
def test_the_bound_of_a_correct_header_is_sufficient_and_close(tmp_path, suffix):
    path = synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.chords(4.0, 48_000), 48_000)
    needed = SPEC.frames_for(4 * 16_000)
    assert needed <= bound_frames(_track(path), SPEC, Limits()) <= needed + SPEC.frames_for(16_000 // 2)


def test_the_bound_of_a_too_long_claim_is_the_limit(monkeypatch):
    monkeypatch.setattr(plan, "bound_seconds", lambda *_: 1e9)
    assert bound_frames(_track(ROOT), SPEC, Limits(max_seconds=64)) == SPEC.frames_for(64 * 16_000)


@pytest.mark.parametrize("claim", [0.0, 1e-9, 0.5])
def test_the_bound_is_always_positive(monkeypatch, claim):
    monkeypatch.setattr(plan, "bound_seconds", lambda *_: claim)
    assert bound_frames(_track(ROOT), SPEC, Limits()) > 0


def test_new_regions_follow_all_existing_regions():
    rows = assign_new_regions(_rows(2), [40, 30], GRID)
    more = assign_new_regions([*rows, *plan_rows(_tracks(4)[2:], ROOT, 2)], [0, 0, 60, 10], GRID)
    assert more[:2] == rows
    assert [(row.region_start, row.region_stop) for row in more] == [(0, 64), (64, 128), (128, 192), (192, 256)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 300), st.sampled_from(["written", "too_long"])), min_size=1, max_size=20))
def test_planning_again_moves_only_clips_that_did_not_fit(clips):
    rows = assign_new_regions(_rows(len(clips)), [1] * len(clips), GRID)
    done = [
        replace(row, state="written" if state == "written" else "planned", frames=frames)
        for row, (frames, state) in zip(rows, clips, strict=True)
    ]
    again = replan(done, GRID)
    for before, after, (frames, state) in zip(done, again, clips, strict=True):
        if state == "written":
            assert after == before
        else:
            assert (after.state, after.frames) == ("planned", 0)
            assert after.region_start >= manifest.total_frames(rows)
            assert after.region_stop - after.region_start >= frames


def test_planning_again_does_not_change_clips_that_were_not_decoded_yet():
    rows = assign_new_regions(_rows(3), [10, 10, 10], GRID)
    assert replan(rows, GRID) == rows


def test_clips_of_one_recording_share_a_region():
    tracks = [_track(ROOT / "a.wav", cut_start_seconds=30.0 * i, cut_seconds=30.0) for i in range(3)]
    rows = plan_rows([replace(track, id=str(i)) for i, track in enumerate(tracks)], ROOT)
    planned = assign_new_regions(rows, [40, 40, 40], GRID)
    assert {(row.region_start, row.region_stop) for row in planned} == {(0, 128)}
    assert [row.bound_frames for row in planned] == [40, 40, 40]
    assert [row.cut_start_seconds for row in planned] == [0, 30, 60]


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"cut_seconds": 30.0}, 30.0),
        ({"cut_seconds": 30.0, "bound_seconds": 31.0}, 31.0),
        ({"bound_seconds": 10.25}, 10.25),
        ({"bound_seconds": 10.0, "cut_start_seconds": 4.0}, 6.0),
    ],
)
def test_a_length_that_the_dataset_states_needs_no_header(fields, seconds):
    assert stated_bound_frames(_track(ROOT / "none.wav", **fields), SPEC) == SPEC.frames_for(int(seconds * 16_000))


def test_a_length_that_the_dataset_does_not_state_needs_the_header():
    assert stated_bound_frames(_track(ROOT / "none.wav"), SPEC) == 0


def test_the_header_of_a_member_is_read_in_its_container(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.flac", synthetic_audio.chords(4.0))
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(path, "deep/x.flac")
    whole, member = _track(path), _track(tmp_path / "x.tar", member="deep/x.flac")
    assert bound_frames(member, SPEC, Limits()) == bound_frames(whole, SPEC, Limits())


def test_a_member_that_does_not_exist_has_a_positive_bound():
    assert bound_frames(_track(ROOT / "none.tar", member="x"), SPEC, Limits()) >= 1


@pytest.mark.parametrize("bad", [0, -1.0, float("inf"), float("nan")])
def test_limits_that_are_not_positive_and_finite_are_an_error(bad):
    with pytest.raises(InvalidInput, match=r"--max-seconds must be (more than 0|a finite number)"):
        Limits(max_seconds=bad)
    with pytest.raises(InvalidInput, match=r"--decode-seconds must be (more than 0|a finite number)"):
        Limits(decode_seconds=bad)
