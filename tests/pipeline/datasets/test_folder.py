"""Tests of the dataset that lists any folder of audio."""

from __future__ import annotations

import pytest
import synthetic_audio
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


def test_only_system_folders_and_apple_doubles_are_left_out_and_counted(tmp_path):
    _touch(tmp_path, "x.wav", "._x.wav", ".38 Special.wav", ".git/y.wav", "a/.b/z.wav", "notes.txt")
    listing = folder.tracks(tmp_path)
    assert [track.id for track in listing.tracks] == [".38 Special.wav", "a/.b/z.wav", "x.wav"]
    assert listing.lines() == ["  passed over: 1 .txt, 1 AppleDouble (._*), 1 system folder (.git)"]
    assert listing.all_counts()["passed over: .txt"] == 1


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
            r"line 3: group 'g' is in the splits 'test' \(line 2\) and 'train'",
        ),
        (b"path,genre\nz.wav,caf\xe9\n", "is not a CSV table in UTF-8"),
        ('path,genre\nz.wav,"a\n', "is not a CSV table in UTF-8"),
        ("path,genre\nz.wav," + "a" * 200_000, "is not a CSV table in UTF-8"),
        (
            "path\n/music/z.wav\nmusic:x.wav\n",
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


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("z.wav ", "z.wav"),
        (" a / x.wav", "a/x.wav"),
        ("./z.wav", "z.wav"),
        ("a//x.wav", "a/x.wav"),
        ("a/../z.wav", "z.wav"),
        ("a\\x.wav", "a/x.wav"),
        ("A/X.WAV", "a/x.wav"),
        ("z.mp3", "z.wav"),
        ("a/x", "a/x.wav"),
        ("\uff5a.wav", "z.wav"),
        ("\ufeffz.wav", "z.wav"),
        ("{root}/z.wav", "z.wav"),
    ],
)
def test_a_path_in_another_spelling_keeps_its_clip_out_of_training(tmp_path, path, name):
    listing = _table(tmp_path, f"path,split\n{path.format(root=tmp_path / 'root')},test\n")
    assert {track.id: track.split for track in listing.tracks if track.split} == {name: "test"}
    assert [count for description, count in listing.counts.items() if description.startswith("rows matched")] == [1]
    assert (listing.counts["rows without a file"], listing.counts["files without a row"]) == (0, 2)


def test_a_path_that_fits_two_files_is_an_error_that_names_both(tmp_path):
    _touch(tmp_path / "root", "x.wav", "x.mp3", "Y.wav", "y.WAV")
    for path in ("x.flac", "y.wav"):
        (tmp_path / "labels.csv").write_text(f"path,split\n\n{path},test\n")
        with pytest.raises(InvalidInput, match=r"labels.csv, line 3: .* fits two files, '[xY].*' and '[xy]"):
            folder.tracks(tmp_path / "root", tmp_path / "labels.csv")


def test_a_file_with_a_row_of_its_own_is_not_taken_by_another_row(tmp_path):
    _touch(tmp_path / "root", "y.wav", "Y.wav")
    (tmp_path / "labels.csv").write_text("path,split\ny.wav,train\nY.WAV,test\n")
    tracks = folder.tracks(tmp_path / "root", tmp_path / "labels.csv").tracks
    assert {track.id: track.split for track in tracks} == {"y.wav": "train", "Y.wav": "test"}


def test_rows_of_one_file_that_contradict_each_other_are_an_error(tmp_path):
    with pytest.raises(InvalidInput, match=r"line 3: this row and line 2 name the same file 'z.wav' and contradict"):
        _table(tmp_path, "path,split\nz.wav,train\nZ.wav ,test\n")
    listing = _table(tmp_path, "path,split\nz.wav,test\nZ.wav ,test\n")
    assert listing.counts["rows that repeat another row of the same file"] == 1


def test_rows_of_valid_and_test_without_a_file_are_named(tmp_path):
    listing = _table(tmp_path, "path,split\nz.wav,test\ngone.wav,valid\nlost.wav,train\nblues 1.wav,test\n")
    named = [line.strip() for line in listing.lines() if line.startswith("  no file")]
    assert [line.partition(";")[0] for line in named] == [
        "no file for the valid row 'gone.wav' (line 3)",
        "no file for the test row 'blues 1.wav' (line 5)",
    ]
    many = "".join(f"gone{number}.wav,test\n" for number in range(folder.MAX_NAMED_ROWS + 5))
    lines = _table(tmp_path, "path,split\nz.wav,test\n" + many).lines()
    assert lines[-1] == "  ... and 5 more rows of valid and test without a file"


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "NULL", "n/a", "-", "NA", "<NA>", " nan "])
def test_a_word_for_no_value_is_no_label_no_split_and_no_group(tmp_path, word):
    listing = _table(tmp_path, f"path,split,group,mood\na/x.wav,{word},{word},{word}\nz.wav,test,{word},calm\n")
    by_id = {track.id: track for track in listing.tracks}
    assert (by_id["a/x.wav"].split, by_id["a/x.wav"].group, dict(by_id["a/x.wav"].labels)) == ("", "a/x.wav", {})
    assert (by_id["z.wav"].group, dict(by_id["z.wav"].labels)) == ("z.wav", {"mood": "calm"})
    assert listing.counts["cells with a word for no value, such as nan"] == 4


def test_labels_and_groups_in_two_spellings_are_one(tmp_path):
    spaced, decomposed = "path,split,mood\na/x.wav,train,", "cafe\u0301"
    listing = _table(tmp_path, f"{spaced}| slow | sad|nan|slow \nz.wav,test,{decomposed}\na/y.wav,,caf\u00e9\n")
    assert [track.labels["mood"] for track in listing.tracks] == ["slow|sad", "caf\u00e9", "caf\u00e9"]
    assert listing.counts["cells with a word for no value, such as nan"] == 1
    with pytest.raises(InvalidInput, match="is in the splits 'train'"):
        _table(tmp_path, f"path,split,group\na/x.wav,train,{decomposed}\nz.wav,test,caf\u00e9\n")


def test_columns_of_path_split_and_group_are_recognized_in_any_case(tmp_path):
    listing = _table(tmp_path, "Path, Split,GROUP\nz.wav,test,g\n")
    assert {track.id: (track.split, track.group) for track in listing.tracks if track.split} == {"z.wav": ("test", "g")}
    with pytest.raises(InvalidInput, match=r"line 1: .*not repeated \(in any case\)"):
        _table(tmp_path, "path,split,Split\nz.wav,test,train\n")


def test_a_column_of_splits_under_another_name_is_an_error(tmp_path):
    with pytest.raises(InvalidInput, match=r"the column 'subset' holds splits \(test, training\); call it 'split'"):
        _table(tmp_path, "path,subset\nz.wav,test\na/x.wav,Training\n")
    assert _table(tmp_path, "path,subset\nz.wav,a\na/x.wav,b\n").tracks[0].labels == {"subset": "b"}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_members_of_archives_are_tracks_and_have_rows(tmp_path, suffix):
    made = [synthetic_audio.write(tmp_path / f"{n}.flac", synthetic_audio.sine(440, 0.2)) for n in range(2)]
    synthetic_audio.pack(tmp_path / "root" / f"x.{suffix}", made)
    (tmp_path / "labels.csv").write_text(f"path,split\nx.{suffix}/0.flac,train\n1.FLAC,test\n")
    tracks = folder.tracks(tmp_path / "root", tmp_path / "labels.csv").tracks
    assert [(track.id, track.path.name, track.member, track.split) for track in tracks] == [
        (f"x.{suffix}/0.flac", f"x.{suffix}", "0.flac", "train"),
        (f"x.{suffix}/1.flac", f"x.{suffix}", "1.flac", "test"),
    ]
