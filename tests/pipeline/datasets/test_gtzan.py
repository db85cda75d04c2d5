"""Tests of GTZAN in all usual folder layouts."""

from __future__ import annotations

import pytest
import synthetic_splits

from pipeline.datasets import gtzan, jukemir
from stores.errors import CorruptArtifact, MissingArtifact

LAYOUTS = ["genres/{genre}", "genres_original/{genre}", "Data/genres_original/{genre}", "."]
SPLITS = ("train", "valid", "test")


def _touch_clips(root, layout=".", suffix="wav", genres=gtzan.GENRES, clips=3):
    names = (
        f"{layout.format(genre=genre)}/{genre}.{number:05d}.{suffix}" for genre in genres for number in range(clips)
    )
    synthetic_splits.touch(root, *names)


@pytest.fixture
def splits(monkeypatch, tmp_path):
    """Folder of a split with clips 0 to 2 of every genre, one per split."""
    clips = {
        f"{number}{genre}": {"split": SPLITS[number], "y": genre, "extra": {"id": f"{genre}.{number:05d}"}}
        for genre in gtzan.GENRES
        for number in range(3)
    }
    return synthetic_splits.write(monkeypatch, tmp_path / "splits", "gtzan_ff", clips)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", ["wav", "au", "WAV"])
def test_every_layout_gives_the_same_ids_labels_and_splits(tmp_path, splits, layout, suffix):
    _touch_clips(tmp_path / "root", layout, suffix)
    listing = gtzan.tracks(tmp_path / "root", splits)
    assert [track.id for track in listing.tracks] == [f"{genre}.{n:05d}" for genre in gtzan.GENRES for n in range(3)]
    assert [track.split for track in listing.tracks] == list(SPLITS) * 10
    assert all(track.labels == {"genre": track.id.split(".")[0]} for track in listing.tracks)
    assert all(track.path.is_file() and track.group == track.id for track in listing.tracks)
    assert listing.published == {"train": 10, "valid": 10, "test": 10}
    assert listing.counts == {"clips missing": 0, "recordings left out by the split": 0, "not of the set": 0}
    assert listing.keeps_silence


def test_clips_outside_the_split_are_left_out_and_counted(tmp_path, splits):
    _touch_clips(tmp_path / "root", clips=5)
    listing = gtzan.tracks(tmp_path / "root", splits)
    assert len(listing.tracks) == 30
    assert listing.counts["recordings left out by the split"] == 20


def test_the_original_format_is_preferred_for_a_clip_in_two_formats(tmp_path, splits):
    _touch_clips(tmp_path / "root", "genres_original/{genre}", "wav")
    _touch_clips(tmp_path / "root", "old/{genre}", "au", genres=("jazz",))
    listing = gtzan.tracks(tmp_path / "root", splits)
    assert {track.path.suffix for track in listing.tracks if track.labels["genre"] == "jazz"} == {".au"}
    assert (len(listing.tracks), listing.counts["second copies not used"]) == (30, 3)


def test_clips_are_sorted_by_id_in_any_folder_layout(tmp_path, splits):
    _touch_clips(tmp_path / "root", "z/{genre}", genres=("blues",), clips=1)
    _touch_clips(tmp_path / "root", "a/{genre}", genres=("rock",), clips=1)
    assert [track.id for track in gtzan.tracks(tmp_path / "root", splits).tracks] == ["blues.00000", "rock.00000"]


def test_other_audio_files_are_counted_and_all_others_are_ignored(tmp_path, splits):
    _touch_clips(tmp_path / "root", genres=("jazz",), clips=1)
    synthetic_splits.touch(
        tmp_path / "root", "._jazz.00001.wav", "jazz.1.wav", "polka.00000.wav", "jazz.csv", "jazz00002.png"
    )
    listing = gtzan.tracks(tmp_path / "root", splits)
    assert [track.id for track in listing.tracks] == ["jazz.00000"]
    assert (listing.counts["not of the set"], listing.counts["clips missing"]) == (2, 29)


def test_a_clip_known_to_be_damaged_is_named_and_kept(tmp_path, monkeypatch):
    clips = {"x": {"split": "train", "y": "jazz", "extra": {"id": "jazz.00054"}}}
    splits = synthetic_splits.write(monkeypatch, tmp_path / "splits", "gtzan_ff", clips)
    synthetic_splits.touch(tmp_path / "root", "jazz.00054.wav")
    listing = gtzan.tracks(tmp_path / "root", splits)
    assert len(listing.tracks) == listing.counts["known to be damaged in some copies (jazz.00054)"] == 1


def test_a_linked_folder_of_audio_is_searched(tmp_path, splits):
    _touch_clips(tmp_path / "disk", "{genre}")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "genres").symlink_to(tmp_path / "disk")
    assert len(gtzan.tracks(tmp_path / "root", splits).tracks) == 30


@pytest.mark.parametrize(("root", "contents"), [("empty", "found 0 audio files"), ("none", "found no such folder")])
def test_without_audio_the_error_comes_before_any_download(tmp_path, root, contents, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(jukemir, "entries", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(MissingArtifact, match=rf"expected GENRE.NNNNN.wav .*{contents}.*marsyas/gtzan.*Kaggle.*--root"):
        gtzan.tracks(tmp_path / root)


def test_audio_files_with_other_names_are_counted_in_the_error(tmp_path, splits):
    synthetic_splits.touch(tmp_path / "root", "a.wav", "b.wav")
    with pytest.raises(MissingArtifact, match="found 2 audio files with other names"):
        gtzan.tracks(tmp_path / "root", splits)


@pytest.mark.parametrize(
    "clip", [{"y": "polka", "extra": {"id": "jazz.00001"}}, {"y": "jazz", "extra": {"id": "../x"}}]
)
def test_metadata_of_another_set_is_an_error(tmp_path, monkeypatch, clip):
    splits = synthetic_splits.write(monkeypatch, tmp_path / "splits", "gtzan_ff", {"u": {"split": "test", **clip}})
    _touch_clips(tmp_path / "root")
    with pytest.raises(CorruptArtifact, match=r"gtzan_ff.json.gz: clip 'u'.*must be GENRE.NNNNN"):
        gtzan.tracks(tmp_path / "root", splits)


def test_a_complete_copy_has_the_published_counts(tmp_path):
    _touch_clips(tmp_path, "genres/{genre}", "au", clips=100)
    listing = gtzan.tracks(tmp_path, synthetic_splits.published())
    assert listing.published == {"train": 443, "valid": 197, "test": 290}
    assert [line.strip() for line in listing.lines()] == [
        "train: 443 of 443 clips",
        "valid: 197 of 197 clips",
        "test: 290 of 290 clips",
        "clips missing: 0",
        "recordings left out by the split: 70",
        "known to be damaged in some copies (jazz.00054): 1",
        "not of the set: 0",
    ]
