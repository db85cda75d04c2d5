"""The document: foreign text stays text, nothing is fetched from outside, and nothing is evaluated as code."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from html_elements import Elements
from synthetic_report import HOSTILE

from model.page import document
from model.page.document import Section
from model.page.elements import PageChart, PageRow, PageTable

CHART = {"mark": "point", "data": {"values": [{"name": HOSTILE}]}}
EMPTY = {"tiles": (), "sentences": ()}


def _empty(title, **changed):
    return Section(title, "overview", EMPTY, **changed)


@pytest.fixture(scope="module")
def elements():
    table = PageTable((HOSTILE,), [PageRow((HOSTILE,))], HOSTILE)
    content = {"tasks": [{"name": HOSTILE, "chart": PageChart("one", HOSTILE, table)}]}
    hostile = Section(HOSTILE, "label_efficiency", content, {"one": CHART}, {"more": [HOSTILE, "\u2028"]})
    return Elements(document.page(HOSTILE, HOSTILE, [hostile, _empty("Two")]))


@pytest.mark.slow
def test_text_that_looks_like_markup_is_shown_as_text(elements):
    assert not [tag for tag, _ in elements.tags if tag in ("iframe", "object", "embed", "link", "base", "form")]
    assert elements.text.count(HOSTILE) == 9  # title twice, lead, link, two headings, caption, head, cell
    assert ("div", {"class": "chart", "id": "one", "role": "img", "aria-label": HOSTILE}) in elements.tags
    assert elements.open == []


def test_data_and_charts_are_unchanged_in_the_page(elements):
    content = {attributes["id"]: text for tag, attributes, text in elements.raw if "id" in attributes}
    assert json.loads(content["one-spec"]) == CHART
    assert json.loads(content["more"]) == [HOSTILE, "\u2028"]
    assert set(content) == {"theme-light", "theme-dark", "one-spec", "more"}


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "]]>", "&amp;", "\u2028\u2029", "Dvořák"])
def test_json_in_the_page_cannot_end_its_element(text):
    written = document.safe_json({text: text})
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == {text: text}


def test_numbers_that_are_not_finite_are_rejected():
    with pytest.raises(ValueError, match="JSON"):
        document.safe_json([float("nan")])


def test_the_policy_allows_only_the_scripts_and_styles_of_the_page(elements):
    policy = next(attributes for tag, attributes in elements.tags if "http-equiv" in attributes)["content"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")
    for tag, attributes, text in elements.raw:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert (digest in policy) == ("type" not in attributes), tag
    assert policy.count("sha256-") == sum("type" not in attributes for _, attributes, _ in elements.raw)


def test_nothing_is_fetched_or_linked_from_outside(elements):
    for _, attributes in elements.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            if name.split(":")[-1] in ("href", "src", "srcset", "action", "data", "poster"):
                assert value.startswith(("#", "data:image/png;base64,")), (name, value)
    styles = "".join(text for tag, _, text in elements.raw if tag == "style")
    assert "@import" not in styles
    assert "url(" not in styles


def test_links_lead_to_existing_sections(elements):
    ids = {attributes["id"] for _, attributes in elements.tags if "id" in attributes}
    targets = {attributes["href"][1:] for tag, attributes in elements.tags if tag == "a"}
    assert targets == {"content", "script-alert-1-script", "two"} <= ids
    labels = {attributes["aria-labelledby"] for tag, attributes in elements.tags if tag == "section"}
    assert labels == {"script-alert-1-script-title", "two-title"} <= ids


def test_anchors_are_titles_or_numbers_if_the_title_is_taken():
    titles = ("Two", "Three", "three", "Content", "Ü?", "Three")
    sections = [_empty("Label efficiency", charts={"two": CHART}), *map(_empty, titles)]
    tags = Elements(document.page("t", "l", sections)).tags
    names = [attributes["id"] for tag, attributes in tags if tag == "section"]
    assert names == ["label-efficiency", "section-1", "three", "section-3", "section-4", "section-5", "section-6"]


def test_two_elements_with_the_same_id_are_rejected():
    section = _empty("One", charts={"same": CHART})
    with pytest.raises(ValueError, match="two elements of the page have the id same-spec"):
        document.page("t", "l", [section, section])


def test_assets_of_sections_are_included_once_before_those_of_the_page():
    sections = [_empty("Map", scripts=("map.js",), styles=("map.css",))] * 2
    raw = Elements(document.page("t", "l", sections)).raw
    scripts = [text for tag, attributes, text in raw if tag == "script" and "type" not in attributes]
    assert scripts == [document.bundle(), document.asset("map.js"), document.asset("page.js")]
    assert document.asset("map.css") in [text for tag, _, text in raw if tag == "style"]


def test_the_page_states_its_encoding_first_and_is_reproducible():
    text = document.page("t", "l", [])
    assert text.startswith('<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">')
    assert document.page("t", "l", []) == text


@pytest.mark.parametrize("name", ["page.js", "map.js"])
def test_scripts_do_not_build_markup_from_strings(name):
    text = document.asset(name)
    for function in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert function not in text
