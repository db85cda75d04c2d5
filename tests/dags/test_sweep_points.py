"""The points that a sweep collects from its runs, and the table of them."""

from __future__ import annotations

import pytest
import tiny

from dags import sweep_points
from model.probes.results import scores
from model.training import metrics_log
from stores import locations
from stores.sweep_file import SweepPoint, SweepScore


def _score(representation, dataset="demo", task="key", value=0.5):
    return SweepScore(dataset, task, representation, "accuracy", value, 0.25, 0.75)


def _point(value, *point_scores):
    return SweepPoint(
        value=value,
        run="r",
        config_digest="c",
        store_digests={},
        batch=64,
        steps=300,
        masking_ratio=0.9,
        seconds_per_step=0.0125,
        loss=2.5,
        neighbours=None,
        scores=point_scores,
    )


@pytest.fixture
def run(tmp_path, monkeypatch, make_store):
    """A finished run of 8 steps with metrics, and the store that was probed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    tiny.write_run(locations.run("mine"), tiny.train_config())
    for step, rate in enumerate([1.0, 80.0, 800.0, 160.0]):
        validation = {"neighbours": 0.5 + step / 10} if step < 3 else {}
        metrics_log.append(
            locations.run("mine"), {"step": step, "loss": 9.0 - step, "windows_per_second": rate, **validation}
        )
    return make_store([100, 100], "stores/made.zarr")


def test_a_point_has_the_settings_speed_last_loss_and_last_validation_of_its_run(run):
    point = sweep_points.point_of_run(0.5, "mine", ["made"])
    config = tiny.train_config()
    assert (point.value, point.run, point.config_digest) == (0.5, "mine", config.digest())
    assert (point.batch, point.steps, point.masking_ratio) == (4, 8, 0.9)
    assert point.seconds_per_step == pytest.approx(8 / 160)  # 8 windows per step; the first line is left out
    assert (point.loss, point.neighbours) == (6.0, pytest.approx(0.7))
    assert point.store_digests == {"made": run.digest()}
    assert point.scores == ()


@pytest.mark.slow
def test_scores_of_every_task_and_representation_of_the_dataset_are_collected(run):
    features = {"trained": tiny.separable(), "untrained": tiny.separable(noise=3.0)}
    for dataset in ("made", "made2"):
        scores.score_representations("key", dataset, "mine", features).write(locations.scores("mine", dataset, "key"))
    collected = sweep_points.scores_of_run("mine", "made")
    assert [(score.dataset, score.task, score.representation) for score in collected] == [
        ("made", "key", "trained"),
        ("made", "key", "untrained"),
    ]
    assert all(score.low <= score.value <= score.high for score in collected)
    assert collected[0].value == 1.0 > collected[1].value


def test_the_table_has_a_line_per_value_and_a_column_per_task_of_the_trained_encoder():
    first = _point(64, _score("untrained"), _score("trained"))
    second = _point(256, _score("trained", "gtzan", "genre", 0.625))
    lines = sweep_points.text_table("batch", [first, second]).splitlines()
    head = ["batch", "steps", "ms", "per", "step", "loss", "demo", "/", "key", "gtzan", "/", "genre"]
    assert lines[0].split() == head
    assert lines[1].split() == ["64", "300", "12.5", "2.500", "0.500", "(0.250", "to", "0.750)"]
    assert lines[2].split() == ["256", "300", "12.5", "2.500", "0.625", "(0.250", "to", "0.750)"]
    assert lines[2].rindex("0.625") > lines[0].index("gtzan") - 10
    assert lines[1].index("2.500") == lines[2].index("2.500")
