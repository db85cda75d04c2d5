"""Splits and groups of mirdata's tracks, with loaders that state them in different ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets import mirdata_splits
from pipeline.datasets.mirdata_annotations import Annotations
from stores.errors import CorruptArtifact, MissingArtifact


class _Track:
    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


class _TrackWithSubset:
    subset = ""


@dataclass
class _Dataset:
    parts: dict[str, list[str]] | Exception = field(default_factory=NotImplementedError)
    subsets: dict[str, str] = field(default_factory=dict)
    multitracks: dict[str, list[str]] = field(default_factory=dict)
    name: str = "made"

    @property
    def _track_class(self) -> type:
        return _TrackWithSubset if self.subsets else _Track

    @property
    def _index(self) -> dict[str, Any]:
        return {"multitracks": {name: {"tracks": ids} for name, ids in self.multitracks.items()}}

    def get_track_splits(self) -> dict[str, list[str]]:
        if isinstance(self.parts, Exception):
            raise self.parts
        return self.parts

    def track(self, track_id: str) -> _Track:
        return _Track(subset=self.subsets[track_id])


AUDIO = {"a": "train/a.wav", "b": "train/b.wav", "c": "test/c.wav"}
FLAT = {"a": "audio/a.wav", "b": "audio/b.wav", "c": "audio/c.wav"}


def _groups(dataset: _Dataset, splits: dict[str, str] | None = None, audio: dict[str, str] = FLAT, **tracks: Any):
    annotations = Annotations(tracks, {track_id: Path(audio[track_id]) for track_id in tracks})
    return mirdata_splits.groups(dataset, annotations, splits or {}), annotations.counts()


def test_the_split_is_what_the_loader_states_then_its_subset_then_the_folder():
    stated = _Dataset({"training": ["a"], "validation": ["b"], "omitted": ["c"]})
    assert mirdata_splits.splits(stated, AUDIO) == {"a": "train", "b": "valid", "c": ""}
    subset = _Dataset(subsets={"a": "test", "b": "training", "c": "validation"})
    assert mirdata_splits.splits(subset, AUDIO) == {"a": "test", "b": "train", "c": "valid"}
    assert mirdata_splits.splits(_Dataset(), AUDIO) == {"a": "train", "b": "train", "c": "test"}


def test_parts_that_are_no_splits_and_folders_of_some_tracks_give_no_split():
    assert mirdata_splits.splits(_Dataset({"0": ["a", "b"], "1": ["c"]}), FLAT) == {}
    assert mirdata_splits.splits(_Dataset(), AUDIO | {"d": "audio/d.wav"}) == {}
    assert mirdata_splits.splits(_Dataset({None: ["a", "b", "c"]}), FLAT) == {}  # as baby_slakh has it


def test_a_missing_file_of_splits_and_a_damaged_one_are_errors():
    with pytest.raises(MissingArtifact, match="the metadata of made is missing"):
        mirdata_splits.splits(_Dataset(FileNotFoundError("info.csv")), FLAT)
    with pytest.raises(CorruptArtifact, match="the splits of made cannot be read by mirdata: KeyError"):
        mirdata_splits.splits(_Dataset(KeyError()), FLAT)


def test_tracks_of_one_multitrack_are_one_group_whoever_plays():
    dataset = _Dataset(multitracks={"song": ["a", "b"], "other": ["c"]})
    groups, _ = _groups(dataset, a=_Track(artist="x"), b=_Track(artist="y"), c=_Track(artist="x"))
    assert groups == {"a": "song", "b": "song", "c": "other"}


def test_tracks_of_one_audio_file_are_one_group():
    audio = {"a": "1.flac", "b": "2.flac", "c": "1.flac", "d": "2.flac", "e": "3.flac"}
    tracks = {name: _Track(artist=artist) for name, artist in zip("abcde", "xyyzw", strict=True)}
    groups, _ = _groups(_Dataset(), audio=audio, **tracks)
    assert groups["a"] == groups["b"] == groups["c"] == groups["d"] != groups["e"]


def test_groups_that_miss_their_file_are_counted():
    class _WithoutMetadata:
        @property
        def artist(self) -> str:
            raise FileNotFoundError("metadata.csv")

    groups, counts = _groups(_Dataset(), a=_WithoutMetadata(), b=_WithoutMetadata())
    assert groups == {"a": "a", "b": "b"}
    assert counts == {"clips without artist or other group, because its file is missing": 2}
