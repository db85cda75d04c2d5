"""AudioSet's classes."""

from __future__ import annotations

import json

import pytest
from audioset_on_disk import CLASSES, GENRE, GUITAR, MUSIC, ROCK, SPEECH

from pipeline.datasets.audioset import ontology
from stores.errors import InvalidInput


def _write(tmp_path, content):
    path = tmp_path / "ontology.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_below_a_class_is_everything_down_to_the_leaves_and_itself(tmp_path):
    read = ontology.read(_write(tmp_path, CLASSES))
    assert read.below(MUSIC) == {MUSIC, GENRE, "/m/04szw", GUITAR, ROCK}
    assert read.below(SPEECH) == {SPEECH}
    assert read.names[ROCK] == "Rock, and roll"


def test_circles_end(tmp_path):
    read = ontology.read(_write(tmp_path, CLASSES))
    assert read.below(GENRE) == read.below(ROCK) == {GENRE, ROCK}


def test_a_class_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InvalidInput, match=r"no class /m/04rlf; use the official ontology.json"):
        ontology.read(_write(tmp_path, [])).below(MUSIC)


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        ("Music", "is not an object"),
        ({"name": "Music", "child_ids": []}, "has no text `id`"),
        ({"id": MUSIC, "name": 3, "child_ids": []}, "has no text `name`"),
        ({"id": MUSIC, "name": "Music", "child_ids": "x"}, "has no list `child_ids`"),
        ({"id": MUSIC, "name": "Music", "child_ids": [1]}, "has no list `child_ids`"),
        ({"id": MUSIC, "name": "Mu|sic", "child_ids": []}, "separates tags"),
        (CLASSES[0], "is there twice"),
    ],
)
def test_a_wrong_class_is_named_by_file_and_number(tmp_path, entry, wrong):
    path = _write(tmp_path, [CLASSES[0], entry])
    with pytest.raises(InvalidInput, match=rf"ontology.json, class 2: .*{wrong}.*expected an object with `id`"):
        ontology.read(path)


@pytest.mark.parametrize("content", ["", "<html>", "[" * 100_000, '{"a": 1}', '"\\ud800'])
def test_what_is_no_list_of_classes_is_told(tmp_path, content):
    with pytest.raises(InvalidInput, match=r"ontology.json .*expected AudioSet's"):
        ontology.read(_write(tmp_path, content))
