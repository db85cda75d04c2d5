"""Tests of EmoMusic in all usual folder layouts."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_splits

from pipeline.datasets import emomusic, jukemir
from stores.errors import CorruptArtifact, MissingArtifact

CLIPS = {
    "0002": {"split": "valid", "y": [-1.1948424462095264, 0.1]},
    "0003": {"split": "test", "y": [1e-17, -0.0]},
    "1000": {"split": "train", "y": [1, 2]},
}


@pytest.fixture
def splits(monkeypatch, tmp_path):
    return synthetic_splits.write(monkeypatch, tmp_path / "splits", "emomusic", CLIPS)


@pytest.mark.parametrize("layout", ["clips_45seconds/{}.mp3", "a/clips_45seconds_wav/{}.WAV", "{}.flac", "{:04d}.mp3"])
def test_every_layout_gives_the_same_tracks(tmp_path, splits, layout):
    synthetic_splits.touch(tmp_path / "root", *(layout.format(number) for number in (2, 3, 1000)))
    listing = emomusic.tracks(tmp_path / "root", splits)
    assert [(track.id, track.group, track.split) for track in listing.tracks] == [
        ("0002", "0002", "valid"),
        ("0003", "0003", "test"),
        ("1000", "1000", "train"),
    ]
    assert listing.published == {"train": 1, "valid": 1, "test": 1}
    assert listing.keeps_silence


def test_labels_can_be_parsed_to_the_exact_ratings(tmp_path, splits):
    synthetic_splits.touch(tmp_path / "root", "2.mp3", "3.mp3", "1000.mp3")
    for track in emomusic.tracks(tmp_path / "root", splits).tracks:
        assert [float(track.labels[name]) for name in ("arousal", "valence")] == CLIPS[track.id]["y"]


def test_full_songs_beside_the_clips_are_not_used(tmp_path, splits):
    synthetic_splits.touch(
        tmp_path / "root", "clips_45seconds/2.mp3", "clips_45seconds/7.mp3", "full/2.mp3", "full/3.mp3"
    )
    listing = emomusic.tracks(tmp_path / "root", splits)
    assert [track.path for track in listing.tracks] == [tmp_path / "root" / "clips_45seconds" / "2.mp3"]
    assert listing.counts == {"clips missing": 2, "recordings left out by the split": 1, "not of the set": 2}


def test_the_error_for_missing_audio_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(jukemir, "entries", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(MissingArtifact, match=r"clips_45seconds/NUMBER.mp3.*cvml.unige.ch/databases/emoMusic.*--root"):
        emomusic.tracks(tmp_path)


@pytest.mark.parametrize("clips", [{"a": {"split": "test", "y": [1, 2]}}, {"1": {"split": "test", "y": [1]}}])
def test_metadata_of_another_set_is_an_error(tmp_path, monkeypatch, clips):
    splits = synthetic_splits.write(monkeypatch, tmp_path / "splits", "emomusic", clips)
    synthetic_splits.touch(tmp_path / "root", "1.mp3")
    with pytest.raises(CorruptArtifact, match=r"emomusic.json.gz: clip .*two ratings"):
        emomusic.tracks(tmp_path / "root", splits)


def test_a_complete_copy_has_the_published_counts_and_standardized_ratings(tmp_path):
    synthetic_splits.touch(tmp_path, *(f"clips_45seconds/{number}.mp3" for number in range(1, 1001)))
    listing = emomusic.tracks(tmp_path, synthetic_splits.published())
    assert listing.published == {"train": 504, "valid": 115, "test": 125}
    assert listing.counts == {"clips missing": 0, "recordings left out by the split": 256, "not of the set": 0}
    development = [track.labels for track in listing.tracks if track.split != "test"]
    ratings = np.array([[float(labels[name]) for name in ("arousal", "valence")] for labels in development])
    assert np.allclose(ratings.mean(0), 0, atol=1e-12)
    assert np.allclose(ratings.std(0), 1, atol=1e-12)
