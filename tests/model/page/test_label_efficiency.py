"""Label efficiency: means and intervals as they were measured, also for older scores without intervals."""

from __future__ import annotations

from dataclasses import replace

import synthetic_report

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
    full = next(row for row in rows if row["representation"] == "trained" and row["clips"] == 120)
    assert (full["score"], full["low"], full["high"]) == (0.8, 0.8 - 0.1, 0.8 + 0.1)
    assert _marks(label_efficiency.chart(SCORES)) == ["rule", "line", "point"]


def test_intervals_of_the_same_share_are_side_by_side():
    (rows,) = label_efficiency.chart(SCORES)["datasets"].values()
    positions = [row["at"] for row in rows if row["clips"] == 30]
    assert positions == sorted(set(positions))
    assert all(abs(position / 30 - 1) < 0.1 for position in positions)


def test_older_scores_have_no_intervals():
    assert _marks(label_efficiency.chart(_without_intervals(SCORES))) == ["line", "point"]
    rows = label_efficiency.table(_without_intervals(SCORES)).rows
    assert rows[0].cells[-1] == "0.800"
    assert not any(" to " in cell for row in rows for cell in row.cells)


def test_the_table_states_the_clips_of_each_share():
    table = label_efficiency.table(SCORES)
    assert table.head[1] == "12 clips (10%)"
    assert table.rows[0].cells[-1] == "0.800 (0.700 to 0.900)"


def test_scores_without_shares_give_no_section():
    without = replace(SCORES, rows=tuple(replace(row, efficiency=()) for row in SCORES.rows))
    assert label_efficiency.section([without]) is None
    assert list(label_efficiency.section([without, SCORES]).charts) == ["efficiency-made-genre"]
