"""Sweep files are read as they were written, and anything else is rejected."""

from __future__ import annotations

import json

import pytest
import synthetic_report

from stores import locations, sweep_file
from stores.errors import CorruptArtifact
from stores.sweep_file import SweepScore


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    synthetic_report.sweep("made-batch", "batch", (64, 128))
    return locations.sweep("made-batch")


def test_a_sweep_is_read_as_it_was_written(path):
    sweep = sweep_file.read(path)
    assert (sweep.over, sweep.store, [point.value for point in sweep.points]) == ("batch", "made", [64, 128])
    assert sweep.points[0].scores[0] == SweepScore("made", "genre", "trained", "accuracy", 0.5, 0.4, 0.6)
    before = path.read_bytes()
    sweep_file.write(path, sweep)
    assert path.read_bytes() == before


def test_the_stored_keys_and_their_order_are_fixed(path):
    content = json.loads(path.read_text())
    assert list(content) == ["format_version", "name", "command", "store", "over", "fair", "clips_seen", "points"]
    assert list(content["points"][0]) == [
        *("value", "run", "config_digest", "store_digests", "batch", "steps", "masking_ratio", "seconds_per_step"),
        *("loss", "neighbours", "scores"),
    ]
    assert list(content["points"][0]["scores"][0]) == [
        *("dataset", "task", "representation", "metric", "value", "low", "high"),
    ]
    assert content["format_version"] == 1


def test_values_keep_their_type(path):
    for over, values in synthetic_report.SWEEPS.items():
        synthetic_report.sweep("made-batch", over, values)
        read = [point.value for point in sweep_file.read(path).points]
        assert [(value, type(value)) for value in read] == [(value, type(value)) for value in values]


def test_a_sweep_without_points_is_not_listed(path):
    assert [sweep.name for sweep in sweep_file.read_all(path.parent)] == ["made-batch"]
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "points": []}))
    assert sweep_file.read_all(path.parent) == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format_version=9), "has format version 9, and this version reads 1"),
        (lambda c: c.pop("format_version"), "has format version None"),
        (lambda c: c.update(name="../made"), "but its file name states another"),
        (lambda c: c.pop("points"), "missing key 'points'"),
        (lambda c: c["points"][0].pop("config_digest"), "missing key 'points.0.config_digest'"),
        (lambda c: c["points"][0].update(more=1), "unknown key 'points.0.more'"),
        (lambda c: c["points"][0].update(loss="low"), "points.0.loss: .*valid number"),
        (lambda c: c["points"][0]["scores"][0].update(low=float("nan")), "points.0.scores.0.low: .*finite number"),
        (lambda c: c["points"][0].update(scores=None), "points.0.scores: .*array"),
        (lambda c: c.update(points=[3]), "points.0: .*object"),
    ],
)
def test_a_file_that_is_not_a_sweep_is_rejected_with_a_remedy(path, change, message):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptArtifact, match=f"{message}.*run `python -m dags.sweep` again"):
        sweep_file.read(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{"])
def test_a_file_that_is_not_a_json_object_is_rejected(path, text):
    path.write_text(text)
    with pytest.raises(CorruptArtifact, match=r"made-batch\.sweep\.json"):
        sweep_file.read(path)
