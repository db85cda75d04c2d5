"""Class by class: confusions as they were counted, keys along the circle of fifths, tags by how well they are told."""

from __future__ import annotations

import pytest
import synthetic_report
from html_elements import Elements

from model.page import classes

KEY = synthetic_report.scores(task="key", kind="key", classes=synthetic_report.KEYS)
TAGS = synthetic_report.scores(task="tags", kind="tags", classes=("tag 1", "tag 2", "tag 3"))


def _rows(spec):
    return next(iter(spec["datasets"].values()))


def test_cells_are_the_counts_and_the_shares_of_their_rows():
    made = synthetic_report.scores()
    counts = made.rows[0].details["confusions"]
    for row in _rows(classes.confusions_chart(made)):
        true, said = made.classes.index(row["true"]), made.classes.index(row["taken for"])
        assert row["words"] == (str(counts[true][said]) if counts[true][said] else "")
        assert row["share"] == counts[true][said] / sum(counts[true])


def test_keys_stand_along_the_circle_of_fifths_major_before_minor():
    order = [KEY.classes[place] for place in classes.ordered(KEY)]
    assert order[:5] == ["C major", "G major", "D major", "A major", "E major"]
    assert order[12:15] == ["C minor", "G minor", "D minor"]
    assert sorted(order) == sorted(KEY.classes)


def test_a_class_that_no_clip_has_is_an_empty_row():
    made = synthetic_report.scores()
    made.rows[0].details["confusions"][1] = [0, 0, 0]
    assert [row["share"] for row in _rows(classes.confusions_chart(made)) if row["true"] == "two"] == [0, 0, 0]
    assert "\N{EN DASH}" in Elements(classes.section([made]).body).text


def test_relations_are_shares_that_sum_to_one():
    rows = _rows(classes.relations_chart(KEY))
    assert len(rows) == 4 * 5
    assert sum(row["share"] for row in rows if row["representation"] == "trained") == pytest.approx(1)


def test_tags_without_a_value_are_in_the_table_and_not_in_the_chart():
    spec = classes.tags_chart(TAGS.rows[0].details["tags"])
    sets = spec["datasets"].values()
    assert spec["height"] == 2 * 17  # no room is left for it
    assert [{row["tag"] for row in rows} for rows in sets] == [{"tag 1", "tag 2"}] * 2
    text = Elements(classes.section([TAGS]).body).text
    assert "tag 3" in text
    assert "average precision of 2 tags, the best ROC-AUC first. 1 more has no score: no clip in test, or all." in text


def test_wide_tables_scroll_and_small_ones_do_not():
    assert 'class="large"' in classes.section([KEY]).body
    assert 'class="large"' not in classes.section([synthetic_report.scores()]).body


def test_scores_without_details_make_no_section():
    bare = synthetic_report.scores()
    for row in bare.rows:
        row.details.clear()
    assert classes.section([bare]) is None


def test_columns_of_very_many_classes_are_labelled_now_and_then_which_is_said():
    many = synthetic_report.scores(classes=tuple(str(1990 + year) for year in range(58)))
    axis = classes.confusions_chart(many)["layer"][0]["encoding"]["x"]["axis"]
    assert axis["values"][:2] == ["1990", "1992"]
    assert "One column in 2 is labelled" in Elements(classes.section([many]).body).text
    assert "is labelled" not in Elements(classes.section([KEY]).body).text


def test_of_equal_metrics_of_a_tag_neither_hides_the_other():
    marks = [layer["mark"] for layer in classes.tags_chart(TAGS.rows[0].details["tags"])["layer"]]
    assert [one["filled"] for one in marks] == [False, False]
    assert marks[1]["size"] > 2 * marks[0]["size"]
