"""Transposed copies keep group and split, and the labels of their keys move along."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.datasets import transposition
from pipeline.datasets.track import Track


def _track(name, split, key="F# minor", **other):
    return Track(name, Path("/data") / name.split("#")[0], "album", split, {"key": key, "mood": "calm"}, **other)


@pytest.mark.parametrize(("count", "steps"), [(12, (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6)), (2, (1,)), (3, (-1, 1))])
def test_the_steps_lie_around_the_recording(count, steps):
    assert transposition.steps(count) == steps


def test_only_training_recordings_get_copies_with_moved_keys():
    tracks = [_track("a", "train"), _track("b", "valid", "A minor"), _track("c", "test", "Eb minor")]
    copied = transposition.with_copies(tracks, 12)
    assert len(copied) == 3 + 11
    by_id = {track.id: track for track in copied}
    assert by_id["a~+3"].labels == {"key": "A minor", "mood": "calm"}
    assert by_id["a~-3"].labels["key"] == "Eb minor"
    assert by_id["a~+1"].labels["key"] == "G minor"
    assert {(track.group, track.split) for track in copied[:12]} == {("album", "train")}
    assert all(transposition.base_id(track.id, track.semitones) == "a" for track in copied[:12])


def test_all_splits_are_copied_on_request():
    tracks = [_track("a", "train"), _track("b", "test")]
    assert len(transposition.with_copies(tracks, 12, all_splits=True)) == 24


def test_labels_of_a_task_with_other_words_do_not_move():
    tracks = [_track("a", "train"), _track("b", "train", "unknown")]
    copied = transposition.with_copies(tracks, 2)
    assert [track.labels["key"] for track in copied] == ["F# minor", "F# minor", "unknown", "unknown"]


def test_the_clips_of_one_recording_stay_together_in_each_transposition():
    clips = [_track(f"a#{n}", "train", cut_start_seconds=float(n), cut_seconds=1.0) for n in range(3)]
    copied = transposition.with_copies(clips, 3)
    assert [(track.id[:3], track.semitones) for track in copied] == [
        (f"a#{n}", semitones) for semitones in (0, -1, 1) for n in range(3)
    ]
