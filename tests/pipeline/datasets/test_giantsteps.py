"""Tests of GiantSteps in all usual folder layouts."""

from __future__ import annotations

import math

import pytest
import synthetic_splits

from pipeline.datasets import giantsteps, jukemir
from pipeline.datasets.track import Track
from stores.errors import CorruptArtifact, MissingArtifact


def _clip(recording, start, split, key="Eb minor", length=30.0):
    return {"split": split, "y": key, "clip": {"audio_uid": recording, "clip_offset": start, "clip_duration": length}}


@pytest.fixture
def splits(monkeypatch, tmp_path):
    clips = {f"0010089-{n}": _clip("0010089", 30.0 * n, "test") for n in (2, 0, 1)}
    clips |= {f"6574410-{n}": _clip("6574410", 30.0 * n, "train", "A major") for n in (0, 1)}
    return synthetic_splits.write(monkeypatch, tmp_path / "splits", "giantsteps_clips", clips)


@pytest.mark.parametrize(
    "names",
    [
        ("giantsteps-key-dataset/audio/10089.LOFI.mp3", "giantsteps-mtg-key-dataset/audio/6574410.LOFI.mp3"),
        ("10089.mp3", "6574410.MP3"),
        ("a/0010089.lofi.wav", "b/06574410.LOFI.flac"),
        ("10089 Jason Sparks - Close My Eyes feat. J. Little (Original Mix).mp3", "6574410.m4a"),
    ],
)
def test_every_layout_gives_the_same_clips_and_clips_of_a_recording_are_adjacent(tmp_path, splits, names):
    root = tmp_path / "root"
    synthetic_splits.touch(root, *names)
    listing = giantsteps.tracks(root, splits)
    test, train = (root / name for name in names)
    expected = [("0010089-0", test, 0.0), ("0010089-1", test, 30.0), ("0010089-2", test, 60.0)]
    expected += [("6574410-0", train, 0.0), ("6574410-1", train, 30.0)]
    assert [(track.id, track.path, track.cut_start_seconds) for track in listing.tracks] == expected
    assert listing.tracks[1] == Track(
        id="0010089-1",
        path=test,
        group="0010089",
        split="test",
        labels={"key": "Eb minor"},
        cut_start_seconds=30.0,
        cut_seconds=30.0,
    )
    assert listing.published == {"train": 2, "valid": 0, "test": 3}
    assert listing.keeps_silence


def test_missing_recordings_are_counted_with_their_clips(tmp_path, splits):
    synthetic_splits.touch(tmp_path / "root", "6574410.LOFI.mp3", "99999.LOFI.mp3", "track01.mp3", "1.mp3")
    listing = giantsteps.tracks(tmp_path / "root", splits)
    assert listing.counts == {
        "clips missing": 3,
        "recordings missing": 1,
        "recordings left out by the split": 1,
        "not of the set": 2,
    }


def test_the_error_for_missing_audio_names_both_repositories_and_the_mirrors(tmp_path, monkeypatch):
    monkeypatch.setattr(jukemir, "entries", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(MissingArtifact, match=r"LOFI.mp3.*giantsteps-key-dataset.*mtg-key-dataset.*cp.jku.at.*--root"):
        giantsteps.tracks(tmp_path)


@pytest.mark.parametrize(
    "clip", [_clip("../../x", 0.0, "test"), _clip("1234", -1.0, "test"), _clip("1234", 0.0, "test", length=0)]
)
def test_metadata_without_a_valid_clip_is_an_error(tmp_path, monkeypatch, clip):
    splits = synthetic_splits.write(monkeypatch, tmp_path / "splits", "giantsteps_clips", {"u": clip})
    synthetic_splits.touch(tmp_path / "root", "10089.mp3")
    with pytest.raises(CorruptArtifact, match=r"giantsteps_clips.json.gz: clip 'u'"):
        giantsteps.tracks(tmp_path / "root", splits)


def test_a_complete_copy_has_the_published_counts_and_no_recording_in_two_splits(tmp_path):
    recordings = {
        entry.text("clip", "audio_uid") for entry in jukemir.entries("giantsteps_clips", synthetic_splits.published())
    }
    synthetic_splits.touch(tmp_path, *(f"audio/{int(recording)}.LOFI.mp3" for recording in recordings))
    listing = giantsteps.tracks(tmp_path, synthetic_splits.published())
    assert listing.published == {"train": 3_687, "valid": 942, "test": 2_406}
    assert (len(listing.tracks), listing.counts["clips missing"]) == (7_035, 0)
    assert len({track.group for track in listing.tracks}) == len({(t.group, t.split) for t in listing.tracks}) == 1_763
    assert len({track.labels["key"] for track in listing.tracks}) == 24
    changes = sum(a.path != b.path for a, b in zip(listing.tracks, listing.tracks[1:], strict=False))
    assert changes == 1_763 - 1
    assert all(29.9 < track.cut_seconds <= 30 and math.isfinite(track.cut_start_seconds) for track in listing.tracks)
