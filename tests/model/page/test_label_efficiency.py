"""Scores by labels: means and intervals as they were measured; older scores, which have no intervals, as well."""

from __future__ import annotations

from dataclasses import replace

import synthetic_report
from html_elements import Elements

from model.page import label_efficiency

SCORES = synthetic_report.scores()


def _without_intervals(scores):
    rows = [
        replace(row, efficiency=tuple({k: v for k, v in one.items() if k != "intervals"} for one in row.efficiency))
        for row in scores.rows
    ]
    return replace(scores, rows=tuple(rows))


def _marks(spec):
    return [layer["mark"]["type"] for layer in spec["layer"]]


def test_the_chart_has_every_mean_and_its_interval():
    (rows,) = label_efficiency.chart(SCORES)["datasets"].values()
    assert len(rows) == 4 * 3
    whole = next(row for row in rows if row["representation"] == "trained" and row["clips"] == 120)
    assert (whole["score"], whole["low"], whole["high"]) == (0.8, 0.8 - 0.1, 0.8 + 0.1)
    assert _marks(label_efficiency.chart(SCORES)) == ["rule", "line", "point"]


def test_intervals_of_one_share_stand_side_by_side_near_their_clips():
    (rows,) = label_efficiency.chart(SCORES)["datasets"].values()
    places = [row["at"] for row in rows if row["clips"] == 30]
    assert places == sorted(set(places))
    assert all(abs(place / 30 - 1) < 0.1 for place in places)


def test_scores_of_before_have_no_intervals():
    assert _marks(label_efficiency.chart(_without_intervals(SCORES))) == ["line", "point"]
    text = Elements(label_efficiency.table(_without_intervals(SCORES))).text
    assert "0.800" in text
    assert "to" not in text.split("100%")[1].replace("untrained", "")


def test_the_table_says_how_many_clips_a_share_is():
    text = Elements(label_efficiency.table(SCORES)).text
    assert "12 clips (10%)" in text
    assert "0.800 (0.700 to 0.900)" in text


def test_scores_without_shares_make_no_section():
    bare = replace(SCORES, rows=tuple(replace(row, efficiency=()) for row in SCORES.rows))
    assert label_efficiency.section([bare]) is None
    assert list(label_efficiency.section([bare, SCORES]).charts) == ["efficiency-made-genre"]
