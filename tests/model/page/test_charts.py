"""Charts: valid Vega-Lite without colors, the same bytes for the same numbers, and no more points than are visible."""

from __future__ import annotations

import json

import pytest

from model.page import charts, exports


def _points(spec):
    return next(iter(spec["datasets"].values()))


def test_a_curve_has_every_measured_point():
    rows = [{"step": 0, "loss": 2.0}, {"step": 1}, {"step": 2, "loss": 1.0}]
    spec = charts.curve(rows, "loss", "loss")
    assert _points(spec) == [{"step": 0, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    assert spec["width"] == "container"
    assert "config" not in spec


@pytest.mark.parametrize("count", [1, 2, 200, 201, 5_001])
def test_a_long_curve_shows_means_of_successive_lines(count):
    rows = [{"step": 10 * i, "loss": (i * 37 % 11) / 7} for i in range(count)]
    spec = charts.curve(rows, "loss", "loss")
    points, size = _points(spec), -(-count // 200)
    assert len(points) == -(-count // size) <= charts.MAX_POINTS
    for index, point in enumerate(points):
        group = rows[index * size : (index + 1) * size]
        assert point["step"] == pytest.approx(sum(row["step"] for row in group) / len(group))
        assert point["loss"] == pytest.approx(sum(row["loss"] for row in group) / len(group))
    title = spec["layer"][0]["encoding"]["y"]["title"]
    assert title == ("loss" if size == 1 else f"loss, mean of {size}")


@pytest.mark.parametrize(("last", "label"), [(4_800, "4,000"), (100_000, "100k")])
def test_steps_are_written_without_exponents(last, label):
    rows = [{"step": step, "loss": 1.0} for step in range(0, last + 1, last // 48)]
    svg = exports.picture(charts.curve(rows, "loss", "loss"))[0].decode()
    assert label in svg
    assert "e+" not in svg


def test_a_reference_is_a_named_line_within_the_axis():
    spec = charts.curve([{"step": 0, "loss": 2.0}], "loss", "loss", ("chance", 7.0))
    assert {"is": "chance", "at": 7.0} in [row for rows in spec["datasets"].values() for row in rows]
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"][1] >= 7


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([0.2, 0.8], 0.1, 0.9), ([-0.5, 0.5], -0.6, 0.6), ([0.01, 0.5], 0.0, 0.6), ([0.5], 0.4, 0.6), ([0, 0], 0, 0.2)],
)
def test_a_scale_contains_its_values_with_a_margin(values, low, high):
    domain = charts.span(values).to_dict()["domain"]
    assert low <= domain[0] <= min(values)
    assert max(values) < domain[1] <= high


@pytest.mark.parametrize(
    ("intervals", "low", "high", "cut"),
    [
        ([(0.4, 0.6), (0.5, 0.7)], (0.3, 0.4), (0.7, 0.8), False),
        ([(0.4, 0.6), (-0.1, 0.9)], (-0.2, -0.1), (0.9, 1.0), False),
        ([(0.4, 0.6), (0.45, 0.6), (-98.0, 0.7)], (0.2, 0.4), (0.7, 0.9), True),
        ([(0.4, 0.6), (0.45, 0.6), (0.5, 98.0)], (0.3, 0.4), (0.7, 0.9), True),
        ([(0.5, 0.5), (0.5, 0.5), (0.2, 0.9)], (0.1, 0.2), (0.9, 1.0), False),
        ([], (0.4, 0.5), (0.6, 0.7), False),
    ],
)
def test_an_axis_cuts_off_intervals_that_are_far_longer_than_most(intervals, low, high, cut):
    axis = charts.titled_span("score", [0.5, 0.6], intervals)
    first, last = axis["scale"].to_dict()["domain"]
    assert low[0] <= first <= low[1]
    assert high[0] <= last <= high[1]
    assert axis["title"] == ("score (longer intervals are cut off)" if cut else "score")
    assert axis["scale"].to_dict().get("clamp", False) is cut


@pytest.mark.parametrize("count", [1, 40, 41, 58, 80, 81, 200])
def test_as_many_names_are_labeled_as_are_legible(count):
    names = [str(index) for index in range(count)]
    labeled = charts.legible_labels(names)
    step = int(labeled[1]) if len(labeled) > 1 else 1
    assert list(labeled) == names[::step]
    assert len(labeled) <= 40
    assert step == 1 or len(names[:: step - 1]) > 40


def test_cells_have_legible_text_on_both_halves_of_the_ramp():
    rows = [{"true": "a", "predicted": "b", "share": share, "words": "3"} for share in (0.5, 0.51)]
    spec = charts.heat_map(rows, ("true", "predicted"), (["a"], ["b"]))
    filters = [layer["transform"][0]["filter"] for layer in spec["layer"] if layer["mark"]["type"] == "text"]
    assert filters == ["datum.share <= 0.5", "datum.share > 0.5"]


def test_the_same_numbers_give_the_same_chart():
    rows = [{"step": i, "loss": 1.0 / (i + 1)} for i in range(5)]
    first, second = (json.dumps(charts.curve(rows, "loss", "loss")) for _ in range(2))
    assert first == second
