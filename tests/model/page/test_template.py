"""The shared elements and the template environment: all text is escaped, and undefined names are errors."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from html_elements import Elements
from jinja2 import UndefinedError
from synthetic_report import HOSTILE

from model.page import template
from model.page.elements import PageChart, PageRow, PageTable

TABLE = PageTable([HOSTILE], [PageRow([HOSTILE, HOSTILE], "trained")], HOSTILE)
CALLS = {
    "remark": (HOSTILE,),
    "sentences": ([HOSTILE],),
    "table": (TABLE,),
    "chart": (PageChart(HOSTILE, HOSTILE, TABLE),),
    "commands": ([HOSTILE], HOSTILE),
}
TEMPLATES = {path.name: path.read_text("utf-8") for path in (resources.files("model.page") / "templates").iterdir()}


def _render(macro, *arguments):
    source = f"{{% import 'elements.html.j2' as page %}}{{{{ page.{macro}(*arguments) }}}}"
    return template.ENVIRONMENT.from_string(source).render(arguments=arguments)


@pytest.mark.parametrize("macro", CALLS)
def test_elements_escape_all_text(macro):
    html = _render(macro, *CALLS[macro])
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert Elements(html).open == []


def test_every_macro_is_tested():
    assert set(re.findall(r"macro (\w+)", TEMPLATES["elements.html.j2"])) == {*CALLS, "table_row"}


@pytest.mark.parametrize("name", sorted({*TEMPLATES} - {"page.html.j2"}))
def test_only_the_page_marks_text_as_safe(name):
    assert not re.search(r"\|\s*safe|autoescape|Markup", TEMPLATES[name])


def test_a_chart_contains_its_table():
    table = PageTable(("a",), [PageRow(("b",))], "c")
    html = _render("chart", PageChart("name", "description", table))
    assert _render("table", table) in html
    assert "<details>" not in _render("chart", PageChart("name", "description"))


def test_a_table_names_its_rows_and_columns():
    html = _render("table", PageTable(("who", "score"), [PageRow(("me", "1"), "trained")], "all"))
    assert '<th scope="col">who</th><th scope="col">score</th>' in html
    assert '<tr class="trained"><th scope="row">me</th><td>1</td></tr>' in html
    assert "<caption>all</caption>" in html
    assert "<table>" in html
    assert '<table class="words">' in _render("table", PageTable(("a",), [], "all", of_words=True))


def test_no_sentences_are_no_list():
    assert _render("sentences", []).strip() == ""


def test_a_percent_sign_stays_on_the_line_of_its_number():
    assert "95\N{NO-BREAK SPACE}% of" in _render("remark", "95 % of")


def test_commands_break_between_words_only():
    html = _render("commands", ["python -m it --flag 'a b'", "next"], "label")
    assert html.count("<span>") == 6 + 1
    assert html.count('class="command"') == 2
    assert Elements(html).text.strip() == "python -m it --flag 'a b'\nnext"


def test_an_undefined_name_is_an_error():
    with pytest.raises(UndefinedError, match="'sentences' is undefined"):
        template.render("overview", tiles=[])
