"""Tests of the search for AudioSet's lists, and of the errors for missing lists and audio."""

from __future__ import annotations

import pytest
from audioset_on_disk import write_file, write_lists

from pipeline.datasets.audioset import inventory, published_lists
from stores.errors import MissingArtifact


def _find(root, segments=None, ontology=None):
    return published_lists.find_lists(root, inventory.scan(root) if root.is_dir() else None, segments, ontology)


@pytest.fixture
def root(tmp_path):
    write_file(tmp_path / "root" / "abcdefghijk.wav")
    return tmp_path / "root"


@pytest.mark.parametrize("folder", [".", "csv", "metadata/deeper"])
def test_lists_are_found_in_any_folder_below_the_root(root, folder):
    write_lists(root / folder)
    lists = _find(root)
    assert {path.name for path in lists.segments} == set(published_lists.segments.FILE_NAMES)
    assert (lists.ontology.name, lists.missing) == ("ontology.json", ())


def test_the_copy_of_a_list_nearest_to_the_root_is_used(root):
    write_lists(root / "a" / "b")
    write_lists(root / "z")
    assert {path.parent for path in _find(root).segments} == {root / "z"}


def test_a_folder_of_lists_has_priority_and_may_hold_the_ontology(root, tmp_path):
    lists = write_lists(tmp_path / "lists")
    assert _find(root, lists).ontology == lists / "ontology.json"
    assert {path.parent for path in _find(root, lists).segments} == {lists}


def test_options_may_name_list_files_with_any_name(root, tmp_path):
    lists = write_lists(tmp_path / "lists")
    renamed = (lists / "eval_segments.csv").rename(lists / "my_eval.csv")
    classes = (lists / "ontology.json").rename(lists / "classes.json")
    assert _find(root, renamed, classes) == published_lists.PublishedLists([renamed], classes)
    assert _find(root, [renamed, lists / "balanced_train_segments.csv"], classes).missing == ()


def test_missing_official_lists_are_named(root):
    write_lists(root)
    (root / "eval_segments.csv").unlink()
    assert _find(root).missing == ("eval_segments.csv",)


def test_one_message_names_everything_that_is_missing(tmp_path):
    with pytest.raises(MissingArtifact) as raised:
        _find(tmp_path / "none")
    lines = str(raised.value).splitlines()
    assert len(lines) == 3
    assert "none, which is not a folder: expected balanced_train_segments.csv, unbalanced" in lines[0]
    assert "https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/" in lines[0]
    assert "--segments" in lines[0]
    assert "expected ontology.json. Download it from https://github.com/audioset/ontology" in lines[1]
    assert "none is not a folder; expected audio files named by YouTube id" in lines[2]
    assert all(name in lines[2] for name in ("agkphysics/AudioSet", "confit/audioset-16khz-wds", "audioset-download"))


def test_existing_lists_and_audio_are_not_in_the_message(root):
    write_lists(root)
    (root / "ontology.json").unlink()
    with pytest.raises(MissingArtifact, match=r"\Ano AudioSet ontology in .*root and its subfolders: [^\n]*\Z"):
        _find(root)


def test_the_error_for_compressed_archives_says_to_unpack_them(tmp_path):
    write_lists(tmp_path)
    write_file(tmp_path / "eval00.tar.xz")
    with pytest.raises(MissingArtifact, match=r"no AudioSet audio in .*; 1 archives \(.*\) must be unpacked first"):
        _find(tmp_path)


def test_missing_files_of_the_options_are_named(root, tmp_path):
    with pytest.raises(MissingArtifact, match=r"a.csv is not a file\n.*b.json is not a file"):
        _find(root, [tmp_path / "a.csv"], tmp_path / "b.json")
