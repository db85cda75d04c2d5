"""Scores as text: columns never touch, and a narrow terminal gets fewer of them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import synthetic_report

from model.probes.evaluation.bootstrap import Interval
from model.probes.results import text_table


@pytest.fixture
def scores():
    """Return scores whose untrained representation has a large negative R²."""
    scores = synthetic_report.scores(task="emotion", kind="numbers", classes=("arousal", "valence"))
    metrics = {
        name: replace(metric, value=-12345.678, interval=Interval(-234567.891, -1234.567), seeds=(-12345.6, -23456.7))
        for name, metric in scores.rows[1].metrics.items()
    }
    return replace(scores, rows=(scores.rows[0], replace(scores.rows[1], metrics=metrics), *scores.rows[2:]))


def test_large_negative_numbers_do_not_run_into_the_next_column(scores):
    (line,) = [line for line in text_table.table(scores).splitlines() if line.startswith("    untrained")][:1]
    assert re.fullmatch(
        r"    untrained +32 +-12345\.678 +-234567\.891 to -1234\.567 +-17901\.150 ± 7856\.\d+ +\S+   \S+ to \S+", line
    )


@pytest.mark.parametrize("columns", [80, 100])
def test_lines_fit_into_a_narrow_terminal_without_optional_columns(monkeypatch, columns):
    monkeypatch.setattr(text_table, "terminal_columns", lambda: columns)
    scores = synthetic_report.scores()
    rows = tuple(replace(row, representation=name) for row, name in zip(scores.rows, "abcd", strict=True))
    lines = text_table.table(replace(scores, rows=rows)).splitlines()
    table = [line for line in lines if line.startswith(("  accuracy", "    "))]
    assert max(map(len, table)) <= columns
    assert ("k-NN" in table[0]) == (columns > 100)
    assert "trained is ahead by" in table[0]


def test_the_columns_of_usual_scores_are_those_of_the_readme():
    lines = text_table.table(synthetic_report.scores()).splitlines()
    head = next(line for line in lines if line.startswith("  accuracy"))
    assert " ".join(head.split()) == "accuracy width test 95 % interval 3 seeds k-NN trained is ahead by (95 %)"
