"""Tests of the search for audio files below a folder."""

from __future__ import annotations

import os

import pytest
import synthetic_splits

from pipeline.datasets import audio_files


def test_names_are_sorted_paths_below_the_root(tmp_path):
    synthetic_splits.touch(tmp_path, "b.WAV", "a/y.mp3", "a/x.flac", "a/notes.txt", ".hidden/z.wav", "a/._x.wav")
    files = audio_files.find(tmp_path)
    assert (list(files.names), dict(files.counts)) == (["a/x.flac", "a/y.mp3", "b.WAV"], {})
    assert files.path("a/x.flac") == tmp_path / "a" / "x.flac"


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
