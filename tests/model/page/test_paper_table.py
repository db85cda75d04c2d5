"""The score table: the paper's columns in its order, our rows first, quoted rows marked, and the paper's averages."""

from __future__ import annotations

import pytest
import synthetic_report
from html_elements import Elements, section_text

from model.page import paper_table
from model.page.quoted import Quote

ALL = [synthetic_report.scores(*name, *kind) for name, kind in synthetic_report.PAPER.items()]
QUOTES = [Quote("Jukebox", "gtzan/genre/accuracy", 0.797, "A paper"), Quote("x", "made/genre/accuracy", 0.1, "B")]


def test_the_columns_are_the_papers_even_if_one_task_was_probed():
    (table,) = paper_table.tables([ALL[1]], [])
    assert [column for task in table.tasks for column in task.columns] == [
        "magnatagatune/tags/ROC-AUC",
        "magnatagatune/tags/average precision",
        "gtzan/genre/accuracy",
        "giantsteps/key/weighted score",
        "emomusic/emotion/R² arousal",
        "emomusic/emotion/R² valence",
    ]
    assert table.measured["trained"] == {"gtzan/genre/accuracy": 0.8}


def test_metrics_of_the_same_task_are_averaged_first():
    (table,) = paper_table.tables(ALL, [])
    values = table.measured["trained"]  # tags 0.8 and 0.6, genre 0.8, key 0.8, emotion 0.8 and 0.6
    assert table.average(values) == pytest.approx((0.7 + 0.8 + 0.8 + 0.7) / 4)


def test_a_row_that_lacks_a_column_has_no_average():
    (table,) = paper_table.tables(ALL, QUOTES)
    assert table.average(table.quoted["Jukebox"]) is None


def test_a_published_average_is_shown_only_in_the_papers_table():
    published = Quote("Myna-22M-Hybrid", "average", 0.686, "A review")
    first, second = paper_table.tables([*ALL, synthetic_report.scores()], [published])
    assert first.average(first.quoted["Myna-22M-Hybrid"]) == 0.686
    assert not second.quoted
    assert "Quoted from: A review." in section_text(paper_table.section("first", ALL, [published]))


def test_other_datasets_have_a_table_of_their_own():
    first, second = paper_table.tables([*ALL, synthetic_report.scores()], QUOTES)
    assert list(first.quoted) == ["Jukebox"]
    assert list(second.quoted) == ["x"]
    assert [task.columns for task in second.tasks] == [("made/genre/accuracy",)]


def test_the_trained_row_is_first_and_quoted_rows_are_last_and_marked():
    elements = Elements(paper_table.section("first", ALL, QUOTES).body)
    kinds = [attributes.get("class") for tag, attributes in elements.tags if tag == "tr"]
    assert kinds == [None, "trained", None, None, None, "quoted divided"]
    assert "Quoted from: A paper." in elements.text
    assert "B." not in elements.text.split("Quoted from")[1]


def test_foreign_text_stays_text():
    hostile = [Quote(synthetic_report.HOSTILE, "gtzan/genre/accuracy", 0.7, synthetic_report.HOSTILE)]
    section = paper_table.section("first", [*ALL, synthetic_report.scores("<script>")], hostile)
    assert "<script" not in section.body
    assert f"Quoted from: {synthetic_report.HOSTILE}." in section_text(section)
    assert "<script> / genre." in section_text(section)


def test_the_page_says_if_nothing_is_quoted_and_which_grid_was_used():
    text = section_text(paper_table.section("first", [synthetic_report.scores()], []))
    assert "No published scores of these tasks are available. --quoted FILE.csv adds some." in text
    assert "Not the paper's protocol, which is --grid full: made / genre." in text
    full = [synthetic_report.scores(grid="full")]
    assert "protocol, which" not in section_text(paper_table.section("first", full, []))
