"""Sweeps on the page: a chart for each task, an axis that suits the setting, and a mark for this run."""

from __future__ import annotations

from dataclasses import replace

import synthetic_report
from html_elements import section_text

from model.page import sweeps
from model.probes.results.scores import TRAINED


def test_a_sweep_has_a_chart_for_each_task_and_marks_this_run(results):
    section = sweeps.section(results.sweeps, "first")
    assert set(section.charts) == {f"sweep-made-{over}-0" for over in synthetic_report.SWEEPS}
    sets = section.charts["sweep-made-batch-0"]["datasets"].values()
    assert [[(row["value"], row["this_run"]) for row in rows] for rows in sets if "low" in rows[0]][-2:] == [
        [(64, False), (128, False)],
        [(256, True)],
    ]


def test_no_layer_is_empty_whichever_points_are_this_run(results):
    (batch,) = [sweep for sweep in results.sweeps if sweep.over == "batch"]
    for run, points in (("first", batch.points), ("stranger", batch.points), ("first", batch.points[-1:])):
        spec = sweeps.chart(replace(batch, points=points), sweeps.columns(batch)[0], run)
        assert all(spec["datasets"].values())
        assert "filter" not in str(spec)


def test_the_untrained_encoder_is_a_dashed_line_if_it_was_probed(results):
    batch = results.sweeps[0]
    text = "Dashed: the same encoder, untrained."
    assert text in section_text(sweeps.section([batch], "first"))
    spec = sweeps.chart(batch, sweeps.columns(batch)[0], "first")
    untrained = [rows for rows in spec["datasets"].values() if {row["score"] for row in rows} == {0.3}]
    assert [row["value"] for row in untrained[0]] == [64, 128, 256]
    domain = spec["layer"][-1]["encoding"]["y"]["scale"]["domain"]
    assert domain[0] < 0.3
    without = replace(batch, points=tuple(_without_untrained(point) for point in batch.points))
    assert text not in section_text(sweeps.section([without], "first"))
    assert len(sweeps.chart(without, sweeps.columns(without)[0], "first")["layer"]) == len(spec["layer"]) - 3


def _without_untrained(point):
    return replace(point, scores=tuple(score for score in point.scores if score.representation == TRAINED))


def test_factors_have_a_logarithmic_axis_and_names_have_none(results):
    by_setting = {sweep.over: sweeps.chart(sweep, sweeps.columns(sweep)[0], "first") for sweep in results.sweeps}
    axes = {over: spec["layer"][-1]["encoding"]["x"] for over, spec in by_setting.items()}
    assert axes["batch"]["scale"]["type"] == "log"
    assert "type" not in axes["masking_ratio"]["scale"]
    assert axes["schedule"]["type"] == "nominal"
    marks = [layer["mark"]["type"] for layer in by_setting["schedule"]["layer"]]
    assert marks == ["point", "text", "rule", "point", "point"]  # no line between names


def test_the_table_of_a_sweep_has_speed_and_scores(results):
    cells = sweeps.table(results.sweeps[0]).rows[0].cells
    assert cells == ("64", "100", "100.0", "2.000", "0.500 (0.400 to 0.600)")


def test_the_setting_is_only_in_the_first_column(results):
    heads = {sweep.over: sweeps.table(sweep).head for sweep in results.sweeps}
    assert heads["batch"] == ("batch", "steps", "ms per step", "loss", "made genre accuracy")
    assert heads["masking_ratio"] == ("masking ratio", "batch", "steps", "ms per step", "loss", "made genre accuracy")
