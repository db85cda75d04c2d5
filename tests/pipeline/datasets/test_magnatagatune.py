"""Tests of MagnaTagATune in all usual folder layouts."""

from __future__ import annotations

import json

import pytest
import synthetic_splits

from pipeline.datasets import audio_files, jukemir, magnatagatune
from pipeline.datasets.audio_files import AudioFiles
from stores.errors import CorruptArtifact, MissingArtifact
from stores.labels import split_tags

PATHS = ["f/cantatas-01-aria-30-59.mp3", "f/cantatas-01-aria-146-175.mp3", "0/Lute-02-toy-0-29.mp3"]


def _clip(path, split, tags, song=("http://magnatune/albums/cantatas/", "01")):
    return {"split": split, "y": tags, "extra": {"mp3_path": path}, "clip": {"audio_uid": song}}


@pytest.fixture
def splits(monkeypatch, tmp_path):
    clips = {
        "00002": _clip(PATHS[0], "test", ["violin", "no vocals"]),
        "00006": _clip(PATHS[1], "test", []),
        "00009": _clip(PATHS[2], "train", ["slow"], ["http://magnatune/albums/lute/", "02"]),
        "00215": _clip("", None, None),
        "35644": _clip("6/broken-08-x-117-146.mp3", None, ["slow"]),
    }
    return synthetic_splits.write(monkeypatch, tmp_path / "splits", "magnatagatune", clips)


@pytest.mark.parametrize("layout", ["{}", "mp3/{}", "some/where/{}", "flat", "upper"])
def test_every_layout_gives_the_same_tracks(tmp_path, splits, layout):
    for path in PATHS:
        names = {"flat": path.split("/")[1], "upper": f"mp3/{path[:-3]}MP3"}
        synthetic_splits.touch(tmp_path / "root", names.get(layout, layout.format(path)))
    listing = magnatagatune.tracks(tmp_path / "root", splits)
    assert [(track.id, track.group, track.split) for track in listing.tracks] == [
        ("00006", "cantatas/01", "test"),
        ("00002", "cantatas/01", "test"),
        ("00009", "lute/02", "train"),
    ]
    assert [track.labels for track in listing.tracks] == [{"tags": ""}, {"tags": "violin|no vocals"}, {"tags": "slow"}]
    assert listing.published == {"train": 1, "valid": 0, "test": 2}
    assert (listing.counts["clips missing"], listing.counts["published clips without a split"]) == (0, 2)
    assert listing.keeps_silence


def test_a_clip_known_to_be_damaged_is_named_and_not_used(tmp_path, splits):
    synthetic_splits.touch(tmp_path / "root", PATHS[0], "6/broken-08-x-117-146.mp3", "6/other.mp3")
    listing = magnatagatune.tracks(tmp_path / "root", splits)
    assert [track.id for track in listing.tracks] == ["00002"]
    assert listing.counts["known to be damaged in some copies (35644)"] == 1
    assert (listing.counts["recordings left out by the split"], listing.counts["not of the set"]) == (1, 1)


@pytest.mark.parametrize(
    ("archives", "message"),
    [
        (
            ["mp3.zip.001", "mp3.zip.002", "mp3.zip.003"],
            r"still packed in .*: mp3.zip.001, .* `cat mp3.zip.001 .*`.*`unzip mp3.zip",
        ),
        (["raw/mp3.zip.001", "raw/mp3.zip.003"], r"mp3.zip.002 must be in this folder too. Join"),
        (["mp3.zip"], r"Unpack it with `unzip mp3.zip -d mp3`"),
        ([], r"no audio of MagnaTagATune below .*mp3/f/american.*mirg.city.ac.uk.*--root"),
    ],
)
def test_without_audio_the_error_says_how_to_unpack_or_get_it(tmp_path, monkeypatch, archives, message):
    monkeypatch.setattr(jukemir, "entries", lambda *_: pytest.fail("downloaded"))
    synthetic_splits.touch(tmp_path, *archives)
    with pytest.raises(MissingArtifact, match=message):
        magnatagatune.tracks(tmp_path)


def test_a_song_must_be_an_album_and_a_track_number(tmp_path, monkeypatch):
    splits = synthetic_splits.write(
        monkeypatch, tmp_path / "splits", "magnatagatune", {"1": _clip(PATHS[0], "test", [], ["album"])}
    )
    synthetic_splits.touch(tmp_path / "root", PATHS[0])
    with pytest.raises(CorruptArtifact, match=r"magnatagatune.json.gz: clip '1': clip.audio_uid must be an album"):
        magnatagatune.tracks(tmp_path / "root", splits)


def test_a_complete_copy_has_the_published_counts_and_no_song_in_two_splits(tmp_path, monkeypatch):
    entries = jukemir.entries("magnatagatune", synthetic_splits.published())
    names = sorted(path for entry in entries if (path := entry.text("extra", "mp3_path")))
    # 25,863 empty files would take three seconds
    monkeypatch.setattr(audio_files, "find", lambda root, follow_links: AudioFiles(root, names, {}))
    listing = magnatagatune.tracks(tmp_path, synthetic_splits.published())
    assert listing.published == {"train": 18_706, "valid": 1_825, "test": 5_329}
    assert listing.counts == {
        "clips missing": 0,
        "published clips without a split": 5_522,
        "recordings left out by the split": 3,
        "known to be damaged in some copies (35644, 55753, 57881)": 3,
        "not of the set": 0,
    }
    tracks = listing.tracks
    assert len(tracks) == len({track.id for track in tracks}) == len({track.path for track in tracks}) == 25_860
    songs = {json.dumps(entry.texts("clip", "audio_uid")) for entry in entries if entry.split}
    groups = {track.group for track in tracks}
    assert len(songs) == len(groups) == len({(track.group, track.split) for track in tracks}) == 5_405
    assert len({tag for track in tracks for tag in split_tags(track.labels["tags"])}) == 50
    assert sum(not track.labels["tags"] for track in tracks) == 3_459 + 296 + 997
