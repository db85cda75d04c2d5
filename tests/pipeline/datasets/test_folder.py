"""Tests of the dataset that lists any folder of audio."""

from __future__ import annotations

import pytest
from synthetic_splits import touch as _touch

from pipeline.datasets import folder
from stores.errors import InvalidInput, MissingArtifact


def _ids(root):
    return [track.id for track in folder.tracks(root).tracks]


def test_audio_is_recognized_by_its_suffix_in_any_case_at_any_depth(tmp_path):
    _touch(tmp_path, "b.wav", "a/A.MP3", "a/deep/er/x.Flac", "notes.txt", "cover.jpg", "noext", "wav", "x.wav.part")
    assert _ids(tmp_path) == ["a/A.MP3", "a/deep/er/x.Flac", "b.wav"]


def test_the_id_and_the_group_of_a_track_are_its_path(tmp_path):
    _touch(tmp_path, "a/x.wav")
    listing = folder.tracks(tmp_path)
    (track,) = listing.tracks
    assert (track.id, track.path, track.group, track.split, dict(track.labels)) == (
        "a/x.wav",
        tmp_path / "a" / "x.wav",
        "a/x.wav",
        "",
        {},
    )
    assert (listing.published, listing.counts, listing.keeps_silence) == ({}, {}, False)


def test_hidden_files_and_folders_are_ignored(tmp_path):
    _touch(tmp_path, "x.wav", "._x.wav", ".hidden.wav", ".git/y.wav", "a/.b/z.wav")
    assert _ids(tmp_path) == ["x.wav"]


def test_a_hidden_folder_above_the_root_has_no_effect(tmp_path):
    _touch(tmp_path, ".cache/music/x.wav")
    assert _ids(tmp_path / ".cache" / "music") == ["x.wav"]


def test_folders_named_like_audio_and_broken_links_are_no_tracks(tmp_path):
    _touch(tmp_path, "x.wav", "album.wav/y.mp3")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    assert _ids(tmp_path) == ["album.wav/y.mp3", "x.wav"]


def test_tracks_are_sorted_by_id(tmp_path):
    _touch(tmp_path, "a/z.wav", "a b/x.wav", "a.wav", "B.wav", "ä.wav", "10.wav", "9.wav")
    ids = _ids(tmp_path)
    assert ids == sorted(ids)


def test_a_root_that_is_not_a_folder_is_an_error(tmp_path):
    _touch(tmp_path, "x.wav")
    for root in (tmp_path / "none", tmp_path / "x.wav"):
        with pytest.raises(MissingArtifact, match=r"is not a folder; use --root"):
            folder.tracks(root)


def test_the_error_for_a_folder_without_audio_lists_the_suffixes(tmp_path):
    _touch(tmp_path, "notes.txt")
    with pytest.raises(MissingArtifact, match=r"no audio below .*\.flac.*\.wav"):
        folder.tracks(tmp_path)


def _table(tmp_path, content):
    _touch(tmp_path / "root", "a/x.wav", "a/y.wav", "z.wav")
    (tmp_path / "labels.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder.tracks(tmp_path / "root", tmp_path / "labels.csv")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_table_defines_splits_groups_and_a_task_per_column(tmp_path, mark, newline):
    lines = [
        "genre, path ,split,group,mood",
        'jazz,a/x.wav,train,album,"slow, sad"',
        "rock,z.wav,test,,",
        "",
        ",a/y.wav,,,",
    ]
    listing = _table(tmp_path, mark + newline.join(lines))
    assert [(track.id, track.split, track.group, dict(track.labels)) for track in listing.tracks] == [
        ("a/x.wav", "train", "album", {"genre": "jazz", "mood": "slow, sad"}),
        ("a/y.wav", "", "a/y.wav", {}),
        ("z.wav", "test", "z.wav", {"genre": "rock"}),
    ]
    assert listing.published == {"train": 1, "test": 1}
    assert listing.counts == {"rows without a file": 0, "files without a row": 0}
    assert not listing.keeps_silence  # as without a table, so that a table can be added later


def test_unmatched_rows_and_files_are_counted_and_such_files_have_no_split(tmp_path):
    listing = _table(tmp_path, "path,split\nz.wav,test\ngone.wav,valid\nlost.wav,train\n")
    assert [(track.id, track.split) for track in listing.tracks] == [
        ("a/x.wav", ""),
        ("a/y.wav", ""),
        ("z.wav", "test"),
    ]
    assert listing.counts == {"rows without a file": 2, "files without a row": 2}
    assert listing.lines()[0] == "  train: 0 of 1 clips"


def test_a_path_matches_in_both_encodings_of_accents(tmp_path):
    _touch(tmp_path / "root", "caf\u00e9.wav", "u\u0308ber.wav")
    (tmp_path / "labels.csv").write_text("path,split\ncafe\u0301.wav,test\n\u00fcber.wav,valid\n", encoding="utf-8")
    listing = folder.tracks(tmp_path / "root", tmp_path / "labels.csv")
    assert {track.id: track.split for track in listing.tracks} == {"caf\u00e9.wav": "test", "u\u0308ber.wav": "valid"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"one of them must be 'path' \(got \[\]\)"),
        ("file,split\nz.wav,test\n", r"one of them must be 'path' \(got \['file', 'split'\]\)"),
        ("path;split\nz.wav;test\n", "separated by commas"),
        ("path,genre,genre\nz.wav,a,b\n", "not empty and not repeated"),
        ("path,\nz.wav,a\n", "not empty and not repeated"),
        ("path,genre\nz.wav\n", "line 2: 1 cells for 2 columns"),
        ("path,genre\nz.wav,a,b\n", "line 2: 3 cells for 2 columns"),
        ("path,split\nz.wav,dev\n", r"line 2: the split must be one of .*'valid'.* \(got 'dev'\)"),
        ("path\nz.wav\n\nz.wav\n", "line 4: the path 'z.wav' is also in line 2"),
        ("path,genre\n,a\n", "line 2: the path is empty"),
        (
            "path,split,group\nz.wav,test,g\na/x.wav,train,g\n",
            "line 3: group 'g' is in the splits 'test' and 'train'",
        ),
        (b"path,genre\nz.wav,caf\xe9\n", "is not a CSV table in UTF-8"),
        ('path,genre\nz.wav,"a\n', "is not a CSV table in UTF-8"),
        ("path,genre\nz.wav," + "a" * 200_000, "is not a CSV table in UTF-8"),
        (
            "path\n/music/z.wav\na\\\\x.wav\n",
            r"none of the 2 rows .* A path in the table is '/music/z.wav', and a file is 'a/x.wav'",
        ),
    ],
)
def test_the_error_for_an_invalid_table_names_the_line(tmp_path, content, message):
    with pytest.raises(InvalidInput, match=message):
        _table(tmp_path, content)


@pytest.mark.parametrize("labels", ["none.csv", "."])
def test_a_missing_table_is_an_error(tmp_path, labels):
    _touch(tmp_path, "z.wav")
    with pytest.raises(MissingArtifact, match=r"cannot be read .*--labels"):
        folder.tracks(tmp_path, tmp_path / labels)


def test_linked_folders_are_not_entered_and_counted(tmp_path):
    _touch(tmp_path, "root/x.wav", "target/y.wav")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "target")
    (tmp_path / "root" / "self").symlink_to(tmp_path / "root")
    listing = folder.tracks(tmp_path / "root")
    assert ([track.id for track in listing.tracks], listing.counts) == (["x.wav"], {"linked folders not entered": 2})
