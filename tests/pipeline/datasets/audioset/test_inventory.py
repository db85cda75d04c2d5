"""Tests of the inventory of the files below a folder."""

from __future__ import annotations

import os
from itertools import chain

from audioset_on_disk import write_file

from pipeline.datasets.audioset import inventory


def _below(root, paths):
    return [os.path.relpath(path, root) for path in paths]


def test_files_are_listed_by_kind_and_sorted(tmp_path):
    names = {
        "audio": ["a/x.WAV", "b.flac", "c.tar/d.opus"],
        "archives": ["a.tar.gz", "a/b/c.tar", "b.tgz", "c.zip", "d.TAR"],
        "parquets": ["data/eval/00.parquet"],
        "compressed": ["a.7z", "b.tar.xz"],
        "hdf5": ["balanced.h5", "eval.HDF5"],
        "segments": ["csv/eval_segments.csv", "eval_segments.csv"],
        "ontologies": ["metadata/ontology.json"],
    }
    for name in (*chain(*names.values()), "x.json", "wav", "class_labels_indices.csv", ".git/y.wav", "._b.flac"):
        write_file(tmp_path / name)
    contents = inventory.scan(tmp_path)
    assert {kind: _below(tmp_path, getattr(contents, kind)) for kind in names} == names
    assert contents.unreadable == []
    assert contents.passed_over.counts() == {
        ".json": 1,
        ".csv": 1,
        "system folders .git": 1,
        "without a suffix, no audio": 1,
        "AppleDouble (._*)": 1,
    }


def test_links_are_followed_but_not_in_cycles_or_to_parent_folders(tmp_path):
    root = tmp_path / "root"
    write_file(tmp_path / "elsewhere" / "far.wav")
    write_file(tmp_path / "beside.wav")
    write_file(root / "z" / "near.wav")
    (root / "a").symlink_to(root / "z")
    (root / "up").symlink_to(tmp_path)
    (root / "self").symlink_to("self")
    (root / "z" / "back").symlink_to(root)
    (root / "c").symlink_to(tmp_path / "elsewhere")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "linked.wav").symlink_to(tmp_path / "beside.wav")
    (root / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (root / "circle.wav").symlink_to("circle.wav")
    assert _below(root, inventory.scan(root).audio) == ["b/far.wav", "linked.wav", "z/near.wav"]


def test_a_folder_that_cannot_be_opened_is_reported(tmp_path, monkeypatch):
    write_file(tmp_path / "shut" / "x.wav")
    scandir = os.scandir

    def denying_scandir(path):
        if str(path).endswith("shut"):
            raise PermissionError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denying_scandir)
    assert _below(tmp_path, inventory.scan(tmp_path).unreadable) == ["shut"]
