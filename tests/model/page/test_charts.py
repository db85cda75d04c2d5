"""Charts: valid Vega-Lite without looks of its own, the same bytes for the same numbers, not more points than seen."""

from __future__ import annotations

import json

import pytest

from model.page import charts, exports


def _points(spec):
    return next(iter(spec["datasets"].values()))


def test_a_curve_has_every_point_that_was_measured():
    rows = [{"step": 0, "loss": 2.0}, {"step": 1}, {"step": 2, "loss": 1.0}]
    spec = charts.curve(rows, "loss", "loss")
    assert _points(spec) == [{"step": 0, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    assert spec["width"] == "container"
    assert "config" not in spec


@pytest.mark.parametrize("points", [1, 2, 200, 201, 5_001])
def test_a_long_curve_shows_means_of_a_few_lines_each(points):
    rows = [{"step": 10 * i, "loss": (i * 37 % 11) / 7} for i in range(points)]
    spec = charts.curve(rows, "loss", "loss")
    found, every = _points(spec), -(-points // 200)
    assert len(found) == -(-points // every) <= charts.MOST_POINTS
    for place, one in enumerate(found):
        group = rows[place * every : (place + 1) * every]
        assert one["step"] == pytest.approx(sum(row["step"] for row in group) / len(group))
        assert one["loss"] == pytest.approx(sum(row["loss"] for row in group) / len(group))
    title = spec["layer"][0]["encoding"]["y"]["title"]
    assert title == ("loss" if every == 1 else f"loss, mean of {every}")


@pytest.mark.parametrize(("last", "said", "never"), [(4_800, "4,000", "e+"), (100_000, "100k", "e+")])
def test_steps_are_written_as_one_reads_them(last, said, never):
    rows = [{"step": step, "loss": 1.0} for step in range(0, last + 1, last // 48)]
    drawn = exports.picture(charts.curve(rows, "loss", "loss"))[0].decode()
    assert said in drawn
    assert never not in drawn


def test_a_reference_is_a_line_with_its_name_within_the_axis():
    spec = charts.curve([{"step": 0, "loss": 2.0}], "loss", "loss", ("guessing", 7.0))
    assert {"is": "guessing", "at": 7.0} in [row for rows in spec["datasets"].values() for row in rows]
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"][1] >= 7


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([0.2, 0.8], 0.1, 0.9), ([-0.5, 0.5], -0.6, 0.6), ([0.01, 0.5], 0.0, 0.6), ([0.5], 0.4, 0.6), ([0, 0], 0, 0.2)],
)
def test_a_scale_holds_its_values_with_some_room(values, low, high):
    found = charts.span(values).to_dict()["domain"]
    assert low <= found[0] <= min(values)
    assert max(values) < found[1] <= high


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
def test_an_axis_holds_intervals_but_one_far_longer_than_most_which_it_says(intervals, low, high, cut):
    found = charts.spanned("score", [0.5, 0.6], intervals)
    first, last = found["scale"].to_dict()["domain"]
    assert low[0] <= first <= low[1]
    assert high[0] <= last <= high[1]
    assert found["title"] == ("score (longer lines go on)" if cut else "score")
    assert found["scale"].to_dict().get("clamp", False) is cut


@pytest.mark.parametrize("count", [1, 40, 41, 58, 80, 81, 200])
def test_of_many_names_so_many_are_labelled_as_are_legible(count):
    names = [str(place) for place in range(count)]
    shown = charts.labelled(names)
    every = int(shown[1]) if len(shown) > 1 else 1
    assert list(shown) == names[::every]
    assert len(shown) <= 40
    assert every == 1 or len(names[:: every - 1]) > 40


def test_cells_say_their_number_on_both_halves_of_the_ramp():
    rows = [{"true": "a", "said": "b", "share": share, "words": "3"} for share in (0.5, 0.51)]
    spec = charts.heat_map(rows, ("true", "said"), (["a"], ["b"]))
    filters = [layer["transform"][0]["filter"] for layer in spec["layer"] if layer["mark"]["type"] == "text"]
    assert filters == ["datum.share <= 0.5", "datum.share > 0.5"]


def test_the_same_numbers_are_the_same_chart():
    rows = [{"step": i, "loss": 1.0 / (i + 1)} for i in range(5)]
    one, other = (json.dumps(charts.curve(rows, "loss", "loss")) for _ in range(2))
    assert one == other
