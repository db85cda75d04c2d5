"""Tests of AudioSet's ontology."""

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


def test_below_returns_the_class_and_all_its_descendants(tmp_path):
    classes = ontology.read(_write(tmp_path, CLASSES))
    assert classes.below(MUSIC) == {MUSIC, GENRE, "/m/04szw", GUITAR, ROCK}
    assert classes.below(SPEECH) == {SPEECH}
    assert classes.names[ROCK] == "Rock, and roll"


def test_cycles_end(tmp_path):
    classes = ontology.read(_write(tmp_path, CLASSES))
    assert classes.below(GENRE) == classes.below(ROCK) == {GENRE, ROCK}


def test_a_missing_class_is_an_error(tmp_path):
    with pytest.raises(InvalidInput, match=r"no class /m/04rlf; use the official ontology.json"):
        ontology.read(_write(tmp_path, [])).below(MUSIC)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("Music", "is not an object"),
        ({"name": "Music", "child_ids": []}, "has no text `id`"),
        ({"id": MUSIC, "name": 3, "child_ids": []}, "has no text `name`"),
        ({"id": MUSIC, "name": "Music", "child_ids": "x"}, "has no list `child_ids`"),
        ({"id": MUSIC, "name": "Music", "child_ids": [1]}, "has no list `child_ids`"),
        ({"id": MUSIC, "name": "Mu|sic", "child_ids": []}, "separates tags"),
        (CLASSES[0], "has the id of an earlier class"),
    ],
)
def test_the_error_for_an_invalid_class_names_file_and_number(tmp_path, entry, problem):
    path = _write(tmp_path, [CLASSES[0], entry])
    with pytest.raises(InvalidInput, match=rf"ontology.json, class 2: .*{problem}.*expected an object with `id`"):
        ontology.read(path)


@pytest.mark.parametrize("content", ["", "<html>", "[" * 100_000, '{"a": 1}', '"\\ud800'])
def test_a_file_without_a_list_of_classes_is_an_error(tmp_path, content):
    with pytest.raises(InvalidInput, match=r"ontology.json .*expected AudioSet's"):
        ontology.read(_write(tmp_path, content))
