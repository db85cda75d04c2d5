"""Tests of the search for audio files below a folder."""

from __future__ import annotations

import os
import zipfile

import pytest
import synthetic_audio
import synthetic_splits

from pipeline.datasets import audio_files


def test_names_are_sorted_paths_below_the_root(tmp_path):
    synthetic_splits.touch(tmp_path, "b.WAV", "a/y.mp3", "a/x.flac", "a/notes.txt", ".git/z.wav", "a/._x.wav")
    files = audio_files.find(tmp_path)
    assert (list(files.names), dict(files.counts)) == (["a/x.flac", "a/y.mp3", "b.WAV"], {})
    assert files.path("a/x.flac") == tmp_path / "a" / "x.flac"
    assert files.member("a/x.flac") == ""


def test_folders_and_files_that_begin_with_a_dot_are_read(tmp_path):
    names = ["...And Justice for All/One.mp3", ".38 Special/Hold On.flac", ".5 The Gray Chapter.ogg", ".hidden/z.wav"]
    synthetic_splits.touch(tmp_path, *names)
    assert list(audio_files.find(tmp_path).names) == sorted(names)


def test_everything_that_is_passed_over_is_counted_by_reason_and_suffix(tmp_path):
    synthetic_splits.touch(tmp_path, "x.wav", "a.txt", "b.TXT", "c.jpg", "._x.wav", "README", ".DS_Store", "y.wav.part")
    synthetic_splits.touch(
        tmp_path, ".git/a.wav", "d/@eaDir/b.wav", "e/@eaDir/c.wav", "__MACOSX/._x.wav", ".cache/d.wav"
    )
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere")
    files = audio_files.find(tmp_path)
    assert list(files.names) == ["x.wav"]
    assert files.passed_over.counts() == {
        **{".txt": 2, ".jpg": 1, ".part": 1, "without a suffix, no audio": 2, "AppleDouble (._*)": 1},
        **{"broken links, pipes and the like": 1, "system folders @eaDir": 2, "system folders .cache": 1},
        **{"system folders .git": 1, "system folders __MACOSX": 1},
    }
    text = str(files.passed_over)
    assert text.startswith("2 .txt, 1 .")
    assert "5 system folders (@eaDir, " in text


@pytest.mark.parametrize("name", ["One", "01. Song (feat. X)", ".38 Special", "jazz.00054", "clip.ts"])
def test_without_a_telling_suffix_the_first_bytes_decide(tmp_path, name):
    synthetic_audio.write(tmp_path / "made.flac", synthetic_audio.sine(440, 0.2)).rename(tmp_path / name)
    if name == "clip.ts":
        (tmp_path / name).write_bytes((b"\x47" + bytes(187)) * 3)
    (tmp_path / "app.ts").write_text("export const a = 1\n" * 50)
    (tmp_path / "NOTES").write_text("text")
    assert list(audio_files.find(tmp_path).names) == [name]


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_recordings_in_archives_are_listed_below_the_archive(tmp_path, suffix):
    made = [synthetic_audio.write(tmp_path / "made" / f"{n}.flac", synthetic_audio.sine(440, 0.2)) for n in range(2)]
    root = tmp_path / "root"
    synthetic_audio.pack(root / "a" / f"x.{suffix}", [*made, synthetic_audio.write_text(tmp_path / "notes.txt")])
    files = audio_files.find(root)
    assert list(files.names) == [f"a/x.{suffix}/0.flac", f"a/x.{suffix}/1.flac"]
    assert files.path(files.names[0]) == root / "a" / f"x.{suffix}"
    assert files.member(files.names[0]) == "0.flac"
    assert files.passed_over.counts() == {".txt": 1}


def test_members_that_are_unpacked_beside_their_archive_are_read_once(tmp_path):
    made = [synthetic_audio.write(tmp_path / f"{n}.flac", synthetic_audio.sine(440, 0.2)) for n in range(3)]
    for number, folder in enumerate(("root", "root/x")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / made[number].name).write_bytes(made[number].read_bytes())
    synthetic_audio.pack(tmp_path / "root" / "x.zip", made)
    files = audio_files.find(tmp_path / "root")
    assert list(files.names) == ["0.flac", "x.zip/2.flac", "x/1.flac"]
    assert dict(files.counts) == {audio_files.UNPACKED: 2}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_archives_do_not_give_is_counted(tmp_path):
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a.wav", b"old")
        archive.writestr("a.wav", b"new")
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    files = audio_files.find(tmp_path)
    assert list(files.names) == ["twice.zip/a.wav"]
    assert dict(files.counts) == {audio_files.REPLACED: 1, audio_files.EMPTY: 1}


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK\3\4 no zip")
    (tmp_path / "y.wav").touch()
    files = audio_files.find(tmp_path)
    assert list(files.names) == ["y.wav"]
    assert [name.startswith("damaged: x.zip (") for name in files.counts] == [True]


def test_a_root_that_is_not_a_folder_has_no_files(tmp_path):
    assert list(audio_files.find(tmp_path / "none").names) == []


def test_linked_folders_are_counted_and_not_entered(tmp_path):
    synthetic_splits.touch(tmp_path, "root/x.wav", "target/y.wav")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "target")
    files = audio_files.find(tmp_path / "root")
    assert (list(files.names), dict(files.counts)) == (["x.wav"], {"linked folders not entered": 1})


def test_links_to_files_are_listed(tmp_path):
    synthetic_splits.touch(tmp_path, "target/y.wav")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "x.wav").symlink_to(tmp_path / "target" / "y.wav")
    assert list(audio_files.find(tmp_path / "root").names) == ["x.wav"]


def test_with_follow_links_each_folder_is_entered_once_and_cycles_end(tmp_path):
    synthetic_splits.touch(tmp_path, "root/x.wav", "root/z/w.wav", "target/y.wav", "beside.wav")
    for name, target in {"link": "target", "again": "target", "self": "root", "up": ".", "a": "root/z"}.items():
        (tmp_path / "root" / name).symlink_to(tmp_path / target)
    files = audio_files.find(tmp_path / "root", follow_links=True)
    assert (list(files.names), dict(files.counts)) == (["again/y.wav", "x.wav", "z/w.wav"], {})


def test_links_to_themselves_or_to_missing_files_are_ignored(tmp_path):
    synthetic_splits.touch(tmp_path, "x.wav")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere")
    for follow_links in (False, True):
        assert list(audio_files.find(tmp_path, follow_links=follow_links).names) == ["x.wav"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_named_like_audio_is_not_listed(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    assert list(audio_files.find(tmp_path).names) == []


def test_a_folder_that_cannot_be_opened_is_counted(tmp_path, monkeypatch):
    synthetic_splits.touch(tmp_path, "x.wav", "closed/y.wav")
    scandir = os.scandir

    def denying_scandir(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denying_scandir)
    files = audio_files.find(tmp_path)
    assert (list(files.names), dict(files.counts)) == (["x.wav"], {"could not be opened": 1})
