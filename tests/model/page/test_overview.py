"""The overview: the main score of each task, and a sentence that claims no more than the intervals do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import synthetic_report
from html_elements import section_text

from model.page import overview
from model.probes.evaluation.bootstrap import Interval


def test_the_overview_has_a_tile_and_a_sentence_for_each_averaged_metric(results):
    text = section_text(overview.section(results))
    assert "R² valence, " in text
    for scores in results.scores:
        for metric in overview.averaged_metrics(scores):
            value = scores.rows[0].metrics[metric].value
            assert f"{scores.dataset} / {scores.task}{value:.3f}{metric}, " in text
            assert overview.sentence(scores, metric) in text
    assert {scores.kind: len(overview.averaged_metrics(scores)) for scores in results.scores} == {
        **{"tags": 2, "classes": 1, "key": 1, "numbers": 2},
    }


def _with_differences(*differences):
    """Return scores with another representation for each paired difference."""
    scores = synthetic_report.scores()
    rows = [replace(scores.rows[1], representation=f"r{index}") for index in range(len(differences))]
    metrics = [replace(row.main, lead=Interval(*ends)) for row, ends in zip(rows, differences, strict=True)]
    others = (replace(row, metrics={"accuracy": metric}) for row, metric in zip(rows, metrics, strict=True))
    return replace(scores, rows=(scores.rows[0], *others))


BETTER, WORSE, UNCLEAR = (0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)


@pytest.mark.parametrize(
    ("differences", "clauses"),
    [
        ([], "."),
        ([BETTER, BETTER], "; significantly better than all 2 other representations."),
        ([WORSE, WORSE], "; significantly worse than all 2 other representations."),
        ([UNCLEAR, UNCLEAR], "; no significant difference from any of the 2 other representations."),
        ([UNCLEAR], "; no significant difference from the other representation."),
        ([BETTER], "; significantly better than the other representation."),
        ([BETTER, WORSE], "; significantly better than r0; significantly worse than r1."),
        (
            [BETTER, UNCLEAR, WORSE],
            "; significantly better than r0; significantly worse than r2; no significant difference from the others.",
        ),
    ],
)
def test_a_sentence_says_better_worse_or_neither(differences, clauses):
    sentence = overview.sentence(_with_differences(*differences), "accuracy")
    assert sentence == f"made / genre: 0.800 accuracy, significantly above chance (0.250){clauses}"


@pytest.mark.parametrize(
    ("chance", "clause"),
    [
        (0.6, "0.800 accuracy, significantly above chance (0.600)"),
        (0.75, "not significantly above chance (0.750)"),
        (0.8, "not above chance (0.800)"),
        (-0.2, "0.800 accuracy, significantly above chance (\N{MINUS SIGN}0.200)"),
    ],
)
def test_a_score_is_significantly_above_chance_only_if_its_interval_is(chance, clause):
    scores = replace(_with_differences(), chance={"accuracy": chance})  # the score is 0.8, the interval 0.7 to 0.85
    assert clause in overview.sentence(scores, "accuracy")
