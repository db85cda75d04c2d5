"""The document: one file, whatever stands in titles and data; nothing on it leads or reaches outside, nothing evals."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from html_elements import Elements
from synthetic_report import EVIL

from model.page import document, markup
from model.page.document import Section

CHART = {"mark": "point", "data": {"values": [{"name": EVIL}]}}


@pytest.fixture(scope="module")
def elements():
    body = markup.paragraph(EVIL) + markup.chart("one", EVIL, markup.table((EVIL,), [markup.Line((EVIL,))], EVIL))
    sections = [Section(EVIL, body, {"one": CHART}, {"more": [EVIL, "\u2028"]}), Section("Two", "", {}, {})]
    return Elements(document.page(EVIL, EVIL, sections))


def test_what_looks_like_markup_is_shown_and_not_run(elements):
    assert not [tag for tag, _ in elements.tags if tag in ("iframe", "object", "embed", "link", "base", "form")]
    assert elements.text.count(EVIL) == 9  # title twice, lead, link, heading, paragraph, caption, head, cell
    assert ("div", {"class": "chart", "id": "one", "role": "img", "aria-label": EVIL}) in elements.tags
    assert elements.open == []


def test_data_and_charts_come_back_as_they_were_given(elements):
    found = {attributes["id"]: text for tag, attributes, text in elements.raw if "id" in attributes}
    assert json.loads(found["one-spec"]) == CHART
    assert json.loads(found["more"]) == [EVIL, "\u2028"]
    assert set(found) == {"theme-light", "theme-dark", "one-spec", "more"}


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "]]>", "&amp;", "\u2028\u2029", "Dvořák"])
def test_json_in_the_page_cannot_end_its_element(text):
    written = document.safe_json({text: text})
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == {text: text}


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        document.safe_json([float("nan")])


def test_the_policy_allows_only_what_stands_there(elements):
    policy = next(attributes for tag, attributes in elements.tags if "http-equiv" in attributes)["content"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")
    for tag, attributes, text in elements.raw:
        known = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert (known in policy) == ("type" not in attributes), tag
    assert policy.count("sha256-") == sum("type" not in attributes for _, attributes, _ in elements.raw)


def test_nothing_on_the_page_is_fetched_or_linked_from_outside(elements):
    for _, attributes in elements.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            if name.split(":")[-1] in ("href", "src", "srcset", "action", "data", "poster"):
                assert value.startswith(("#", "data:image/png;base64,")), (name, value)
    styles = "".join(text for tag, _, text in elements.raw if tag == "style")
    assert "@import" not in styles
    assert "url(" not in styles


def test_links_lead_to_sections_that_are_there(elements):
    ids = {attributes["id"] for _, attributes in elements.tags if "id" in attributes}
    leads = {attributes["href"][1:] for tag, attributes in elements.tags if tag == "a"}
    assert leads == {"content", "script-alert-1-script", "two"} <= ids
    named = {attributes["aria-labelledby"] for tag, attributes in elements.tags if tag == "section"}
    assert named == {"script-alert-1-script-title", "two-title"} <= ids


def test_sections_are_linked_to_by_their_titles_and_by_number_where_these_are_taken():
    chart = Section("Fewer labels", "", {"two": CHART}, {})
    titles = ("Two", "Three", "three", "Content", "Ü?", "Three")
    parts = [chart, *(Section(one, "", {}, {}) for one in titles)]
    tags = Elements(document.page("t", "l", parts)).tags
    names = [attributes["id"] for tag, attributes in tags if tag == "section"]
    assert names == ["fewer-labels", "section-1", "three", "section-3", "section-4", "section-5", "section-6"]


def test_two_elements_of_one_name_are_refused():
    one = Section("One", "", {"same": CHART}, {})
    with pytest.raises(ValueError, match="two elements of the page are called same-spec"):
        document.page("t", "l", [one, one])


def test_assets_that_sections_name_are_there_once_before_the_pages_own():
    sections = [Section("Map", "", {}, {}, ("map.js",), ("map.css",))] * 2
    raw = Elements(document.page("t", "l", sections)).raw
    scripts = [text for tag, attributes, text in raw if tag == "script" and "type" not in attributes]
    assert scripts == [document.bundle(), document.asset("map.js"), document.asset("page.js")]
    assert document.asset("map.css") in [text for tag, _, text in raw if tag == "style"]


def test_the_page_says_its_encoding_first_and_is_the_same_each_time():
    text = document.page("t", "l", [])
    assert text.startswith('<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">')
    assert document.page("t", "l", []) == text


@pytest.mark.parametrize("name", ["page.js", "map.js"])
def test_scripts_make_no_markup_from_strings(name):
    text = document.asset(name)
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert way not in text
