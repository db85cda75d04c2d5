"""What a sweep writes of its runs, and the table of it."""

from __future__ import annotations

import json

import pytest
import tiny

from dags import sweep_points
from model.probes.results import scores
from model.training import metrics_log
from stores import locations
from stores.errors import CorruptArtifact

FACTS = {"name": "s", "over": "batch"}


def _point(value, **changed):
    score = {"dataset": "demo", "task": "key", "metric": "accuracy", "value": 0.5, "low": 0.25, "high": 0.75}
    point = {"value": value, "steps": 300, "seconds_per_step": 0.0125, "loss": 2.5}
    return {**point, "scores": [{**score, "representation": name} for name in ("untrained", "trained")], **changed}


@pytest.fixture
def run(tmp_path, monkeypatch, make_store):
    """A finished run of 8 steps with measurements, and the store that was probed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    tiny.write_run(locations.run("mine"), tiny.train_config())
    for step, rate in enumerate([1.0, 80.0, 800.0, 160.0]):
        checked = {"neighbours": 0.5 + step / 10} if step < 3 else {}
        metrics_log.append(
            locations.run("mine"), {"step": step, "loss": 9.0 - step, "windows_per_second": rate, **checked}
        )
    return make_store([100, 100], "stores/made.zarr")


def test_a_point_tells_the_run_its_speed_its_last_loss_and_its_last_check(run):
    point = sweep_points.of_run(0.5, "mine", ["made"])
    config = tiny.train_config()
    assert (point["value"], point["run"], point["config_digest"]) == (0.5, "mine", config.digest())
    assert (point["batch"], point["steps"], point["masking_ratio"]) == (4, 8, 0.9)
    assert point["seconds_per_step"] == pytest.approx(8 / 160)  # 8 windows a step; the first line is left out
    assert (point["loss"], point["neighbours"]) == (6.0, pytest.approx(0.7))
    assert point["store_digests"] == {"made": run.digest()}
    assert point["scores"] == []


def test_scores_are_read_of_every_task_and_representation_of_the_data_set(run):
    features = {"trained": tiny.separable(), "untrained": tiny.separable(noise=3.0)}
    for dataset in ("made", "made2"):
        scores.score_representations("key", dataset, "mine", features).write(locations.scores("mine", dataset, "key"))
    found = sweep_points.scores_of("mine", "made")
    assert [(one["dataset"], one["task"], one["representation"]) for one in found] == [
        ("made", "key", "trained"),
        ("made", "key", "untrained"),
    ]
    assert all(one["low"] <= one["value"] <= one["high"] for one in found)
    assert found[0]["value"] == 1.0 > found[1]["value"]


def test_points_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "s.sweep.json"
    assert sweep_points.read(path) == []
    sweep_points.write(path, FACTS, [_point(64), _point(256)])
    assert sweep_points.read(path) == [_point(64), _point(256)]
    assert {key: value for key, value in json.loads(path.read_text()).items() if key in FACTS} == FACTS


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format_version": 2, "points": []}', '{"format_version": 1}'])
def test_what_is_no_sweep_of_this_version_is_refused(tmp_path, content):
    (tmp_path / "s.sweep.json").write_text(content)
    with pytest.raises(CorruptArtifact, match=r"s\.sweep\.json (is no sweep|has format 2)"):
        sweep_points.read(tmp_path / "s.sweep.json")


def test_the_table_has_a_line_a_value_and_a_column_a_task_of_the_trained_encoder():
    other = [{**_point(1)["scores"][1], "dataset": "gtzan", "task": "genre", "value": 0.625}]
    lines = sweep_points.table("batch", [_point(64), _point(256, scores=other)]).splitlines()
    assert lines[0].split() == ["batch", "steps", "ms", "a", "step", "loss", "demo", "/", "key", "gtzan", "/", "genre"]
    assert lines[1].split() == ["64", "300", "12.5", "2.500", "0.500", "(0.250", "to", "0.750)"]
    assert lines[2].split() == ["256", "300", "12.5", "2.500", "0.625", "(0.250", "to", "0.750)"]
    assert lines[2].rindex("0.625") > lines[0].index("gtzan") - 10
    assert len({len(line) for line in lines}) == 1
