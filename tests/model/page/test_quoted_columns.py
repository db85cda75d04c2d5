"""Columns of quotes: those that cannot exist are refused with their line, those that are not shown are given back."""

from __future__ import annotations

import pytest
import synthetic_report

from model.page import paper_table
from model.page.quoted import Quote, own
from stores.errors import InvalidInput

SCORES = [synthetic_report.scores(), synthetic_report.scores("giantsteps", "key", "key", synthetic_report.KEYS)]


def _left(*columns):
    quotes = [Quote("a", column, 0.5, "s", line) for line, column in enumerate(columns, 2)]
    return [(one.column, one.line) for one in paper_table.not_shown(quotes, SCORES, "q.csv")]


def test_columns_of_the_tables_are_shown():
    assert _left("made/genre/accuracy", "giantsteps/key/weighted score", "emomusic/emotion/R² valence", "average") == []


def test_what_can_exist_but_stands_in_no_table_is_given_back():
    found = _left("made/genre/accuracy", "giantsteps/key/accuracy", "other/mood/accuracy", "other/wear/R² length")
    assert found == [("giantsteps/key/accuracy", 3), ("other/mood/accuracy", 4), ("other/wear/R² length", 5)]


def test_an_average_is_over_the_papers_tasks_only():
    average = Quote("a", "average", 0.5, "s", 2)
    assert paper_table.not_shown([average], SCORES[:1], "q.csv") == [average]


@pytest.mark.parametrize(
    "column",
    ["gtzan/genre/acc", "gtzan/gener/accuracy", "emomusic/emotion/R2 arousal", "made/genre/ROC-AUC", "other/mood/acc"],
)
def test_what_cannot_exist_is_refused_with_its_line_and_what_is_known(column):
    with pytest.raises(InvalidInput, match=f"q.csv, line 3: there is no column '{column}'; known are .*made/genre/acc"):
        _left("average", column)


def test_those_that_come_along_can_all_exist():
    assert paper_table.not_shown(own(), SCORES, "quoted.csv") == []
