"""Sweeps on the page: a chart for each task, an axis that suits the setting, this run among the others."""

from __future__ import annotations

from dataclasses import replace

import synthetic_report
from html_elements import Elements

from model.page import sweeps


def test_a_sweep_has_a_chart_for_each_task_and_marks_this_run(found):
    section = sweeps.section(found.sweeps, "first")
    assert set(section.charts) == {f"sweep-made-{over}-0" for over in synthetic_report.SWEEPS}
    sets = section.charts["sweep-made-batch-0"]["datasets"].values()
    assert [[(row["value"], row["mine"]) for row in rows] for rows in sets if "low" in rows[0]][-2:] == [
        [(64, False), (128, False)],
        [(256, True)],
    ]


def test_no_layer_is_empty_whether_this_run_is_a_point_or_all_of_them(found):
    (batch,) = [one for one in found.sweeps if one.over == "batch"]
    for run, points in (("first", batch.points), ("stranger", batch.points), ("first", batch.points[-1:])):
        spec = sweeps.chart(replace(batch, points=points), sweeps.columns(batch)[0], run)
        assert all(spec["datasets"].values())
        assert "filter" not in str(spec)


def test_the_untrained_encoder_is_a_dashed_line_where_it_was_probed(found):
    batch = found.sweeps[0]
    told = "Dashed: the same encoder, untrained."
    assert told in Elements(sweeps.section([batch], "first").body).text
    spec = sweeps.chart(batch, sweeps.columns(batch)[0], "first")
    before = [rows for rows in spec["datasets"].values() if {row["score"] for row in rows} == {0.3}]
    assert [row["value"] for row in before[0]] == [64, 128, 256]
    domain = spec["layer"][-1]["encoding"]["y"]["scale"]["domain"]
    assert domain[0] < 0.3
    bare = replace(batch, points=tuple(replace(one, untrained=()) for one in batch.points))
    assert told not in Elements(sweeps.section([bare], "first").body).text
    assert len(sweeps.chart(bare, sweeps.columns(bare)[0], "first")["layer"]) == len(spec["layer"]) - 3


def test_settings_swept_by_factors_are_on_a_logarithmic_axis_and_names_on_none(found):
    by_name = {one.over: sweeps.chart(one, sweeps.columns(one)[0], "first") for one in found.sweeps}
    axes = {over: spec["layer"][-1]["encoding"]["x"] for over, spec in by_name.items()}
    assert axes["batch"]["scale"]["type"] == "log"
    assert "type" not in axes["masking_ratio"]["scale"]
    assert axes["schedule"]["type"] == "nominal"
    marks = [layer["mark"]["type"] for layer in by_name["schedule"]["layer"]]
    assert marks == ["point", "text", "rule", "point", "point"]  # no line between names


def test_the_table_of_a_sweep_has_speed_and_scores(found):
    text = Elements(sweeps.table(found.sweeps[0])).text
    for told in ("64", "100.0", "2.000", "0.500 (0.400 to 0.600)"):
        assert told in text


def test_the_setting_is_no_column_twice(found):
    heads = {one.over: Elements(sweeps.table(one)).text.split("made genre")[0] for one in found.sweeps}
    assert heads["batch"].endswith("batchstepsms a steploss")
    assert heads["batch"].count("batchsteps") == 1
    assert heads["masking_ratio"].endswith("masking ratiobatchstepsms a steploss")
