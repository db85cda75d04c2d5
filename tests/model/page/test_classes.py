"""Per-class results: counts and shares of confusions, keys along the circle of fifths, and scores of tags."""

from __future__ import annotations

import pytest
import synthetic_report
from html_elements import section_text

from model.page import classes

KEY = synthetic_report.scores(task="key", kind="key", classes=synthetic_report.KEYS)
TAGS = synthetic_report.scores(task="tags", kind="tags", classes=("tag 1", "tag 2", "tag 3"))


def _rows(spec):
    return next(iter(spec["datasets"].values()))


def test_cells_have_the_counts_and_the_shares_of_their_rows():
    scores = synthetic_report.scores()
    counts = scores.rows[0].details["confusions"]
    for row in _rows(classes.confusions_chart(scores)):
        true, predicted = scores.classes.index(row["true"]), scores.classes.index(row["predicted"])
        assert row["words"] == (str(counts[true][predicted]) if counts[true][predicted] else "")
        assert row["share"] == counts[true][predicted] / sum(counts[true])


def test_keys_are_sorted_along_the_circle_of_fifths_with_major_first():
    order = [KEY.classes[index] for index in classes.displayed_order(KEY)]
    assert order[:5] == ["C major", "G major", "D major", "A major", "E major"]
    assert order[12:15] == ["C minor", "G minor", "D minor"]
    assert sorted(order) == sorted(KEY.classes)


def test_a_class_without_clips_is_an_empty_row():
    scores = synthetic_report.scores()
    scores.rows[0].details["confusions"][1] = [0, 0, 0]
    assert [row["share"] for row in _rows(classes.confusions_chart(scores)) if row["true"] == "two"] == [0, 0, 0]
    assert "\N{EN DASH}" in section_text(classes.section([scores]))


def test_relations_are_shares_that_sum_to_one():
    rows = _rows(classes.relations_chart(KEY))
    assert len(rows) == 4 * 5
    assert sum(row["share"] for row in rows if row["representation"] == "trained") == pytest.approx(1)


def test_tags_without_a_score_are_in_the_table_but_not_in_the_chart():
    spec = classes.tags_chart(TAGS.rows[0].details["tags"])
    sets = spec["datasets"].values()
    assert spec["height"] == 2 * 17  # no room is left for the third tag
    assert [{row["tag"] for row in rows} for rows in sets] == [{"tag 1", "tag 2"}] * 2
    text = section_text(classes.section([TAGS]))
    assert "tag 3" in text
    assert "average precision of 2 tags, sorted by ROC-AUC. 1 more tag has no score, because no test clip" in text


def test_wide_tables_scroll_and_small_ones_do_not():
    assert 'class="large"' in classes.section([KEY]).body
    assert 'class="large"' not in classes.section([synthetic_report.scores()]).body


def test_scores_without_details_give_no_section():
    scores = synthetic_report.scores()
    for row in scores.rows:
        row.details.clear()
    assert classes.section([scores]) is None


def test_the_page_says_how_many_of_many_columns_are_labeled():
    many = synthetic_report.scores(classes=tuple(str(1990 + year) for year in range(58)))
    axis = classes.confusions_chart(many)["layer"][0]["encoding"]["x"]["axis"]
    assert axis["values"][:2] == ["1990", "1992"]
    assert "1 of 2 columns is labeled" in section_text(classes.section([many]))
    assert "is labeled" not in section_text(classes.section([KEY]))


def test_equal_metrics_of_a_tag_do_not_hide_each_other():
    marks = [layer["mark"] for layer in classes.tags_chart(TAGS.rows[0].details["tags"])["layer"]]
    assert [mark["filled"] for mark in marks] == [False, False]
    assert marks[1]["size"] > 2 * marks[0]["size"]
