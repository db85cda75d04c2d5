"""Files of sweeps: read as they were written, refused where they are something else."""

from __future__ import annotations

import json

import pytest
import synthetic_report

from dags import sweep_points
from model.page import sweep_file
from stores import locations
from stores.errors import CorruptArtifact


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    synthetic_report.sweep("made-batch", "batch", (64, 128))
    return locations.sweep("made-batch")


def test_only_the_trained_representation_is_kept(path):
    found = sweep_file.read(path)
    assert (found.over, found.store, [point.value for point in found.points]) == ("batch", "made", [64, 128])
    assert [len(point.scores) for point in found.points] == [1, 1]
    assert found.points[0].scores[0] == sweep_file.PointScore("made", "genre", "accuracy", 0.5, 0.4, 0.6)


def test_a_sweep_without_points_is_none_yet(path):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "points": []}))
    assert sweep_file.all_of(path.parent) == ()


def test_a_file_of_dags_sweep_is_read(tmp_path, monkeypatch):
    """What the page reads is what the sweep writes, key by key."""
    monkeypatch.chdir(tmp_path)
    point = {"value": 0.5, "run": "r", "batch": 4, "steps": 8, "seconds_per_step": 0.1, "loss": 1.0, "scores": []}
    facts = {"name": "s", "command": "c", "store": "made", "over": "batch", "fair": "f", "clips_seen": 32}
    sweep_points.write(locations.sweep("s"), facts, [point])
    assert sweep_file.read(locations.sweep("s")).points[0].value == 0.5


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.update(format_version=9), "format_version is 9"),
        (lambda c: c.update(name="../made"), "which is not what its name says"),
        (lambda c: c.pop("points"), "points"),
        (lambda c: c["points"][0].update(loss="low"), "could not convert"),
        (lambda c: c["points"][0]["scores"][0].update(low=float("nan")), "nan is not a finite number"),
        (lambda c: c["points"][0].update(scores=None), "not iterable"),
        (lambda c: c.update(points=[3]), "not subscriptable"),
    ],
)
def test_what_is_no_sweep_is_refused(path, change, told):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptArtifact, match=f"is no sweep of this version: .*{told}"):
        sweep_file.read(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{"])
def test_what_is_no_json_object_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(CorruptArtifact):
        sweep_file.read(path)
