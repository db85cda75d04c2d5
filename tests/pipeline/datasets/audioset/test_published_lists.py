"""Where AudioSet's lists are found, and what people read who lack something."""

from __future__ import annotations

import pytest
from audioset_on_disk import write_file, write_lists

from pipeline.datasets.audioset import inventory, published_lists
from stores.errors import MissingArtifact


def _find(root, segments=None, ontology=None):
    return published_lists.find(root, inventory.take(root) if root.is_dir() else None, segments, ontology)


@pytest.fixture
def root(tmp_path):
    write_file(tmp_path / "root" / "abcdefghijk.wav")
    return tmp_path / "root"


@pytest.mark.parametrize("folder", [".", "csv", "metadata/deeper"])
def test_lists_are_found_in_any_folder_of_the_root(root, folder):
    write_lists(root / folder)
    found = _find(root)
    assert {path.name for path in found.segments} == set(published_lists.segments.FILE_NAMES)
    assert (found.ontology.name, found.absent) == ("ontology.json", ())


def test_of_lists_that_are_there_twice_those_nearest_to_the_top_are_read(root):
    write_lists(root / "a" / "b")
    write_lists(root / "z")
    assert {path.parent for path in _find(root).segments} == {root / "z"}


def test_a_folder_of_lists_comes_before_the_root_and_may_hold_the_ontology(root, tmp_path):
    lists = write_lists(tmp_path / "lists")
    assert _find(root, lists).ontology == lists / "ontology.json"
    assert {path.parent for path in _find(root, lists).segments} == {lists}


def test_lists_may_be_given_as_files_of_any_name(root, tmp_path):
    lists = write_lists(tmp_path / "lists")
    mine = (lists / "eval_segments.csv").rename(lists / "my_eval.csv")
    classes = (lists / "ontology.json").rename(lists / "classes.json")
    assert _find(root, mine, classes) == published_lists.PublishedLists([mine], classes)
    assert _find(root, [mine, lists / "balanced_train_segments.csv"], classes).absent == ()


def test_official_lists_that_are_not_there_are_named(root):
    write_lists(root)
    (root / "eval_segments.csv").unlink()
    assert _find(root).absent == ("eval_segments.csv",)


def test_everything_that_lacks_is_told_in_one_message(tmp_path):
    with pytest.raises(MissingArtifact) as raised:
        _find(tmp_path / "none")
    lines = str(raised.value).splitlines()
    assert len(lines) == 3
    assert "none, which is not a folder: looked for balanced_train_segments.csv, unbalanced" in lines[0]
    assert "https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/" in lines[0]
    assert "--segments" in lines[0]
    assert "looked for ontology.json. Download it from https://github.com/audioset/ontology" in lines[1]
    assert "none is not a folder; looked for audio files named by YouTube id" in lines[2]
    assert all(name in lines[2] for name in ("agkphysics/AudioSet", "confit/audioset-16khz-wds", "audioset-download"))


def test_what_is_there_is_not_asked_for(root):
    write_lists(root)
    (root / "ontology.json").unlink()
    with pytest.raises(MissingArtifact, match=r"\Ano AudioSet ontology in .*root and its subfolders: [^\n]*\Z"):
        _find(root)


def test_packed_audio_alone_is_told_to_be_unpacked(tmp_path):
    write_lists(tmp_path)
    write_file(tmp_path / "eval00.tar.gz")
    with pytest.raises(MissingArtifact, match=r"no AudioSet audio in .*; 1 compressed archives must be unpacked first"):
        _find(tmp_path)


def test_files_that_were_given_and_are_not_there_are_named(root, tmp_path):
    with pytest.raises(MissingArtifact, match=r"a.csv is not a file\n.*b.json is not a file"):
        _find(root, [tmp_path / "a.csv"], tmp_path / "b.json")
