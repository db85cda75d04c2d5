"""The score table: the paper's columns in its order, ours first, quoted rows marked, averages as the paper has them."""

from __future__ import annotations

import pytest
import synthetic_report
from html_elements import Elements

from model.page import paper_table
from model.page.quoted import Quote

ALL = [synthetic_report.scores(*name, *kind) for name, kind in synthetic_report.PAPER.items()]
QUOTES = [Quote("Jukebox", "gtzan/genre/accuracy", 0.797, "A paper"), Quote("x", "made/genre/accuracy", 0.1, "B")]


def test_the_columns_are_the_papers_whatever_was_probed():
    (table,) = paper_table.tables([ALL[1]], [])
    assert [column for task in table.tasks for column in task.columns] == [
        "magnatagatune/tags/ROC-AUC",
        "magnatagatune/tags/average precision",
        "gtzan/genre/accuracy",
        "giantsteps/key/weighted score",
        "emomusic/emotion/R² arousal",
        "emomusic/emotion/R² valence",
    ]
    assert table.ours["trained"] == {"gtzan/genre/accuracy": 0.8}


def test_metrics_of_one_task_are_averaged_first():
    (table,) = paper_table.tables(ALL, [])
    values = table.ours["trained"]  # tags 0.8 and 0.6, genre 0.8, key 0.8, emotion 0.8 and 0.6
    assert table.average(values) == pytest.approx((0.7 + 0.8 + 0.8 + 0.7) / 4)


def test_what_lacks_a_column_has_no_average():
    (table,) = paper_table.tables(ALL, QUOTES)
    assert table.average(table.quoted["Jukebox"]) is None


def test_a_published_average_stands_where_the_papers_tasks_are_and_nowhere_else():
    published = Quote("Myna-22M-Hybrid", "average", 0.686, "A review")
    first, second = paper_table.tables([*ALL, synthetic_report.scores()], [published])
    assert first.average(first.quoted["Myna-22M-Hybrid"]) == 0.686
    assert not second.quoted
    assert "Quoted from: A review." in Elements(paper_table.section("first", ALL, [published]).body).text


def test_other_data_sets_have_a_table_of_their_own():
    first, second = paper_table.tables([*ALL, synthetic_report.scores()], QUOTES)
    assert list(first.quoted) == ["Jukebox"]
    assert list(second.quoted) == ["x"]
    assert [task.columns for task in second.tasks] == [("made/genre/accuracy",)]


def test_the_trained_one_comes_first_and_quoted_rows_last_and_marked():
    made = Elements(paper_table.section("first", ALL, QUOTES).body)
    kinds = [attributes.get("class") for tag, attributes in made.tags if tag == "tr"]
    assert kinds == [None, "trained", None, None, None, "quoted divided"]
    assert "first (trained)" in made.text
    assert "Quoted from: A paper." in made.text
    assert "B." not in made.text.split("Quoted from")[1]


def test_the_page_says_when_nothing_can_be_quoted_and_which_grid_was_searched():
    text = Elements(paper_table.section("first", [synthetic_report.scores()], []).body).text
    assert "No published scores of these tasks are at hand; --quoted FILE.csv adds some." in text
    assert "Not the paper's protocol, which is --grid full: made / genre." in text
    full = [synthetic_report.scores(grid="full")]
    assert "protocol, which" not in Elements(paper_table.section("first", full, []).body).text
