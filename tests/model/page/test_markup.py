"""Markup: all text is escaped, numbers are set as numbers."""

from __future__ import annotations

import pytest
from synthetic_report import EVIL

from model.page import markup
from model.page.markup import Line

MADE = {
    "paragraph": markup.paragraph(EVIL),
    "quiet paragraph": markup.paragraph(EVIL, quiet=True),
    "heading": markup.heading(EVIL),
    "facts": markup.facts([EVIL]),
    "table": markup.table([EVIL], [Line([EVIL, EVIL], "trained")], EVIL),
    "chart": markup.chart("name", EVIL),
    "listing": markup.listing(EVIL, EVIL),
    "commands": markup.commands([EVIL], EVIL),
    "pairs": markup.pairs({EVIL: EVIL}),
    "tiles": markup.tiles([(EVIL, EVIL, EVIL)]),
    "image": markup.image("data:,", EVIL, EVIL),
    "folded": markup.folded(EVIL, ""),
    "scrolled": markup.scrolled("", EVIL),
}


@pytest.mark.parametrize("name", MADE)
def test_text_stays_text(name):
    assert "<script" not in MADE[name]
    assert "&lt;script&gt;" in MADE[name]


def test_bodies_stay_bodies():
    inner = markup.paragraph("a")
    assert inner in markup.side_by_side([inner])
    assert inner in markup.folded("more", inner)
    assert inner in markup.scrolled(inner, "wide")
    assert inner in markup.chart("name", "what", inner)


def test_a_table_names_its_rows_and_columns():
    made = markup.table(("who", "score"), [Line(("me", "1"), "trained")], "all")
    assert '<th scope="col">who</th><th scope="col">score</th>' in made
    assert '<tr class="trained"><th scope="row">me</th><td>1</td></tr>' in made
    assert "<caption>all</caption>" in made


def test_no_facts_are_no_list():
    assert markup.facts([]) == ""


@pytest.mark.parametrize(
    ("value", "told"), [(0.5, "0.500"), (-0.0625, "\N{MINUS SIGN}0.062"), (None, "\N{EN DASH}"), (1, "1.000")]
)
def test_numbers_have_three_digits_and_a_minus_as_wide_as_a_plus(value, told):
    assert markup.number(value) == told


def test_commands_are_broken_between_words_only():
    made = markup.commands(["python -m it --flag 'a b'", "next"], "how")
    assert made.count("<span>") == 6 + 1
    assert made.count('class="command"') == 2
