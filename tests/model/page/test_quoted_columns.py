"""Columns of quotes: those that cannot exist are rejected with their line, those that are not shown are returned."""

from __future__ import annotations

import pytest
import synthetic_report

from model.page import paper_table
from model.page.quoted import Quote, packaged
from stores.errors import InvalidInput

SCORES = [synthetic_report.scores(), synthetic_report.scores("giantsteps", "key", "key", synthetic_report.KEYS)]


def _not_shown(*columns):
    quotes = [Quote("a", column, 0.5, "s", line) for line, column in enumerate(columns, 2)]
    return [(quote.column, quote.line) for quote in paper_table.not_shown(quotes, SCORES, "q.csv")]


def test_columns_of_the_tables_are_shown():
    columns = ("made/genre/accuracy", "giantsteps/key/weighted score", "emomusic/emotion/R² valence", "average")
    assert _not_shown(*columns) == []


def test_columns_that_can_exist_but_are_in_no_table_are_returned():
    columns = ("made/genre/accuracy", "giantsteps/key/accuracy", "other/mood/accuracy", "other/wear/R² length")
    assert _not_shown(*columns) == list(zip(columns[1:], (3, 4, 5), strict=True))


def test_an_average_belongs_to_the_papers_tasks_only():
    average = Quote("a", "average", 0.5, "s", 2)
    assert paper_table.not_shown([average], SCORES[:1], "q.csv") == [average]


@pytest.mark.parametrize(
    "column",
    ["gtzan/genre/acc", "gtzan/gener/accuracy", "emomusic/emotion/R2 arousal", "made/genre/ROC-AUC", "other/mood/acc"],
)
def test_a_column_that_cannot_exist_is_rejected_with_its_line(column):
    with pytest.raises(InvalidInput, match=f"q.csv, line 3: there is no column '{column}'; known are .*made/genre/acc"):
        _not_shown("average", column)


def test_columns_of_the_packaged_quotes_can_all_exist():
    assert paper_table.not_shown(packaged(), SCORES, "quoted.csv") == []
