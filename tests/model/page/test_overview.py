"""The overview: the best number of each task, and a sentence that says no more than the intervals do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import synthetic_report
from html_elements import Elements

from model.page import overview
from model.probes.evaluation.bootstrap import Interval


def _text(section):
    return Elements(section.body).text


def test_the_overview_has_the_numbers_that_the_average_takes_and_a_sentence_each(found):
    text = _text(overview.section(found))
    assert "R² valence, " in text
    for one in found.scores:
        for metric in overview.averaged(one):
            value = one.rows[0].metrics[metric].value
            assert f"{one.dataset} / {one.task}{value:.3f}{metric}, " in text
            assert overview.sentence(one, metric) in text
    assert {one.kind: len(overview.averaged(one)) for one in found.scores} == {
        **{"tags": 2, "classes": 1, "key": 1, "numbers": 2},
    }


def _with_leads(*leads):
    """Scores with a row for each lead of the trained one over it."""
    made = synthetic_report.scores()
    rows = [replace(made.rows[1], representation=f"r{place}") for place in range(len(leads))]
    measured = [replace(row.main, lead=Interval(*lead)) for row, lead in zip(rows, leads, strict=True)]
    others = (replace(row, metrics={"accuracy": one}) for row, one in zip(rows, measured, strict=True))
    return replace(made, rows=(made.rows[0], *others))


UP, DOWN, UNSURE = (0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)


@pytest.mark.parametrize(
    ("leads", "told"),
    [
        ([], "."),
        ([UP, UP], "; surely ahead of all 2 other representations."),
        ([DOWN, DOWN], "; surely behind all 2 other representations."),
        ([UNSURE, UNSURE], "; not told apart from any of the 2 other representations."),
        ([UNSURE], "; not told apart from the other representation."),
        ([UP], "; surely ahead of the other representation."),
        ([UP, DOWN], "; surely ahead of r0; surely behind r1."),
        ([UP, UNSURE, DOWN], "; surely ahead of r0; surely behind r2; not told apart from the others."),
    ],
)
def test_a_sentence_says_ahead_behind_or_neither(leads, told):
    found = overview.sentence(_with_leads(*leads), "accuracy")
    assert found == f"made / genre: 0.800 accuracy, surely above chance, which is 0.250{told}"


@pytest.mark.parametrize(
    ("chance", "told"),
    [
        (0.6, "surely above chance, which is 0.600"),
        (0.75, "not surely above chance, which is 0.750"),
        (0.8, "not above chance, which is 0.800"),
        (-0.2, "surely above chance, which is \N{MINUS SIGN}0.200"),
    ],
)
def test_above_chance_is_surely_so_only_where_the_interval_says_it(chance, told):
    made = replace(_with_leads(), chance={"accuracy": chance})  # 0.8, 0.7 to 0.85
    assert told in overview.sentence(made, "accuracy")
