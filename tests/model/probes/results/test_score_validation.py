"""Files of scores: what does not fit is refused with a sentence, never with a traceback in the middle of a page."""

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
def test_whole_scores_of_every_kind_are_read_back(path, kind):
    made = synthetic_report.scores(kind=kind, classes=KINDS[kind])
    made.write(path)
    assert score_validation.read(path) == made


def _with(path, kind, change):
    synthetic_report.scores(kind=kind, classes=KINDS[kind]).write(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _first(content):
    return content["rows"][0]


def _details(content):
    return _first(content)["details"]


DAMAGE = {
    "another task": (
        "classes",
        lambda c: c.update(task="../x"),
        r"of 'made' / '../x', which is not what the name says",
    ),
    "metrics that differ": ("key", lambda c: _first(c)["metrics"].pop("accuracy"), "different metrics"),
    "no metrics": ("classes", lambda c: [row["metrics"].clear() for row in c["rows"]], "0 metrics of a task"),
    "no chance": ("classes", lambda c: c["chance"].clear(), "accuracy"),
    "chance in words": (
        "classes",
        lambda c: c["chance"].update(accuracy="even"),
        "'even' stands where a number",
    ),
    "short confusions": ("classes", lambda c: _details(c)["confusions"].pop(), "confusions are not 2 by 2"),
    "confusions in words": (
        "classes",
        lambda c: _details(c).update(confusions=["ab", "cd"]),
        "'a' stands where",
    ),
    "relations in words": (
        "key",
        lambda c: _details(c).update(relations={"same": "all"}),
        "'all' stands where",
    ),
    "a tag without clips": ("tags", lambda c: _details(c)["tags"][0].pop("clips"), "clips"),
    "a tag without a name": (
        "tags",
        lambda c: _details(c)["tags"][0].update(name=3),
        "'3' stands where a name",
    ),
    "a list for a correlation": (
        *("numbers", lambda c: _details(c)["numbers"][0].update(correlation=[])),
        r"'\[\]' stands where a number should",
    ),
    "a share without clips": ("classes", lambda c: _first(c)["efficiency"][0].pop("clips"), "clips"),
    "other shares": ("classes", lambda c: c["rows"][1]["efficiency"].pop(), "different shares"),
    "half an interval": ("classes", lambda c: _first(c)["efficiency"][0]["intervals"]["accuracy"].pop("low"), "low"),
    "two of one name": ("classes", lambda c: c["rows"][1].update(representation="trained"), "have one name"),
    "no such kind": ("classes", lambda c: c.update(kind="magic"), "magic"),
    "no rows": ("classes", lambda c: c.update(rows=[]), "index out of range"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_does_not_fit_is_refused(path, name):
    kind, change, told = DAMAGE[name]
    _with(path, kind, change)
    with pytest.raises(CorruptArtifact, match=told):
        score_validation.read(path)
