"""Any folder of audio."""

from __future__ import annotations

import pytest

from pipeline.datasets import folder
from stores.errors import MissingArtefact


def _touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_audio_is_known_by_its_name_in_any_case_at_any_depth(tmp_path):
    _touch(tmp_path, "b.wav", "a/A.MP3", "a/deep/er/x.Flac", "notes.txt", "cover.jpg", "noext", "wav", "x.wav.part")
    assert [track.id for track in folder.tracks(tmp_path)] == ["a/A.MP3", "a/deep/er/x.Flac", "b.wav"]


def test_a_track_is_its_path_and_a_group_of_its_own(tmp_path):
    _touch(tmp_path, "a/x.wav")
    (track,) = folder.tracks(tmp_path)
    assert (track.id, track.path, track.group, track.split, dict(track.labels)) == (
        "a/x.wav",
        tmp_path / "a" / "x.wav",
        "a/x.wav",
        "",
        {},
    )


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    _touch(tmp_path, "x.wav", "._x.wav", ".hidden.wav", ".git/y.wav", "a/.b/z.wav")
    assert [track.id for track in folder.tracks(tmp_path)] == ["x.wav"]


def test_a_hidden_folder_above_the_root_hides_nothing(tmp_path):
    _touch(tmp_path, ".cache/music/x.wav")
    assert [track.id for track in folder.tracks(tmp_path / ".cache" / "music")] == ["x.wav"]


def test_folders_that_look_like_audio_and_broken_links_are_passed_over(tmp_path):
    _touch(tmp_path, "x.wav", "album.wav/y.mp3")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    assert [track.id for track in folder.tracks(tmp_path)] == ["album.wav/y.mp3", "x.wav"]


def test_the_order_is_that_of_the_ids(tmp_path):
    _touch(tmp_path, "a/z.wav", "a b/x.wav", "a.wav", "B.wav", "ä.wav", "10.wav", "9.wav")
    ids = [track.id for track in folder.tracks(tmp_path)]
    assert ids == sorted(ids)


def test_a_root_that_is_no_folder_is_told(tmp_path):
    _touch(tmp_path, "x.wav")
    for root in (tmp_path / "none", tmp_path / "x.wav"):
        with pytest.raises(MissingArtefact, match=r"is not a folder; .*--root"):
            folder.tracks(root)


def test_a_folder_without_audio_says_what_was_looked_for(tmp_path):
    _touch(tmp_path, "notes.txt")
    with pytest.raises(MissingArtefact, match=r"no audio below .*\.flac.*\.wav"):
        folder.tracks(tmp_path)
