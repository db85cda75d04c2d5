"""Validation of files of scores: damage is reported with a message before the report is built."""

from __future__ import annotations

import json

import pytest
import synthetic_report

from model.probes.results import score_validation
from stores.errors import CorruptArtifact

KINDS = {"classes": ("one", "two"), "key": synthetic_report.KEYS, "tags": ("a", "b"), "numbers": ("arousal", "valence")}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made.genre.json"


@pytest.mark.parametrize("kind", KINDS)
def test_complete_scores_of_every_kind_are_read(path, kind):
    scores = synthetic_report.scores(kind=kind, classes=KINDS[kind])
    scores.write(path)
    assert score_validation.read(path) == scores


def _write_changed(path, kind, change):
    synthetic_report.scores(kind=kind, classes=KINDS[kind]).write(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _first(content):
    return content["rows"][0]


def _per_class(content):
    return _first(content)["details"]


PERFECT = {"accuracy": 1}
DAMAGE = {
    "another task": (
        "classes",
        lambda c: c.update(task="../x"),
        r"belong to 'made' / '../x', but the file name states another task",
    ),
    "metrics that differ": ("key", lambda c: _first(c)["metrics"].pop("accuracy"), "different metrics"),
    "no metrics": ("classes", lambda c: [row["metrics"].clear() for row in c["rows"]], "there are 0 metrics of a task"),
    "no chance": ("classes", lambda c: c["chance"].clear(), "accuracy"),
    "chance in words": (
        "classes",
        lambda c: c["chance"].update(accuracy="even"),
        "'even' was found, and a finite number is needed",
    ),
    "short confusions": ("classes", lambda c: _per_class(c)["confusions"].pop(), "confusions are not 2 by 2"),
    "confusions in words": (
        "classes",
        lambda c: _per_class(c).update(confusions=["ab", "cd"]),
        "'a' was found",
    ),
    "relations in words": (
        "key",
        lambda c: _per_class(c).update(relations={"same": "all"}),
        "'all' was found",
    ),
    "a tag without clips": ("tags", lambda c: _per_class(c)["tags"][0].pop("clips"), "clips"),
    "a tag without a name": (
        "tags",
        lambda c: _per_class(c)["tags"][0].update(name=3),
        "'3' was found, and a name is needed",
    ),
    "a list for a correlation": (
        *("numbers", lambda c: _per_class(c)["numbers"][0].update(correlation=[])),
        r"'\[\]' was found, and a finite number is needed",
    ),
    "a share without clips": ("classes", lambda c: _first(c)["efficiency"][0].pop("clips"), "clips"),
    "other shares": ("classes", lambda c: c["rows"][1]["efficiency"].pop(), "different shares"),
    "half an interval": ("classes", lambda c: _first(c)["efficiency"][0]["intervals"]["accuracy"].pop("low"), "low"),
    "two rows of one name": ("classes", lambda c: c["rows"][1].update(representation="trained"), "have the same name"),
    "an unknown kind": ("classes", lambda c: c.update(kind="magic"), "magic"),
    "a value over 1": (
        *("classes", lambda c: _first(c)["metrics"]["accuracy"].update(value=1.5)),
        "accuracy of trained is 1.5, and 0 to 1 is possible",
    ),
    "a value below 0": (
        *("tags", lambda c: _first(c)["metrics"]["ROC-AUC"].update(value=-0.1)),
        "ROC-AUC of trained is -0.1, and 0 to 1 is possible",
    ),
    "an R² over 1": (
        *("numbers", lambda c: _first(c)["metrics"]["R² arousal"].update(value=1.5)),
        "R² arousal of trained is 1.5, and at most 1 is possible",
    ),
    "a value outside its interval": (
        *("classes", lambda c: _first(c)["metrics"]["accuracy"]["interval"].update(low=0.95, high=0.99)),
        "is 0.8, outside its interval 0.95 to 0.99",
    ),
    "an interval from high to low": (
        *("classes", lambda c: c["rows"][1]["metrics"]["accuracy"]["lead"].update(low=0.3, high=0.1)),
        "the interval of its difference is 0.3 to 0.1",
    ),
    "a slice of another range": (
        *(
            "classes",
            lambda c: _first(c).update(part="square", slices={"square": {"valid": 3, "test": {"accuracy": 1}}}),
        ),
        "a slice is 3",
    ),
    "a chosen slice without scores": (
        *("classes", lambda c: _first(c).update(part="left", slices={"square": {"valid": 1, "test": PERFECT}})),
        "the chosen slice 'left' is not among square",
    ),
    "no rows": ("classes", lambda c: c.update(rows=[]), "index out of range"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_an_error_that_names_it(path, name):
    kind, change, message = DAMAGE[name]
    _write_changed(path, kind, change)
    with pytest.raises(CorruptArtifact, match=message):
        score_validation.read(path)
