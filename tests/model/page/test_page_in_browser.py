"""The page in a real browser: no errors, no requests, and everything works by mouse and by keyboard.

Screenshots of every page, in both themes and at two widths, are left in the folder that is printed.
"""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import pytest
import synthetic_report
from html_elements import Elements
from small_stores import store_maker

from model import report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed; Debian's package is called chromium"),
]

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
REPORTS = {"one": synthetic_report.one_task, "everything": synthetic_report.everything}
MAX_WAIT_MS = 30_000


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Path of the page of each report."""
    paths, before = {}, Path.cwd()
    for name, write in REPORTS.items():
        folder = tmp_path_factory.mktemp(name)
        os.chdir(folder)
        try:
            write(store_maker(folder))
            assert report.main(["--run", "first", "--name", "page", "--map", "made"]) == 0
        finally:
            os.chdir(before)
        paths[name] = folder / "reports" / "page.html"
    return paths


class OpenPage:
    """A page with the messages of the browser and the requests that the page made."""

    def __init__(self, browser, path, size="desktop", scheme="light", **context):
        width, height = SIZES[size]
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **context)
        self.page = self.context.new_page()
        self.messages, self.requests = [], []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", lambda dialog: (self.messages.append(dialog.message), dialog.dismiss()))
        self.page.goto(path.as_uri())
        self.wait_until_drawn(scheme)

    def wait_until_drawn(self, scheme):
        """Wait until all charts are drawn in a theme."""
        self.page.wait_for_selector(f"html[data-drawn={scheme}]", state="attached", timeout=MAX_WAIT_MS)

    def outside_requests(self):
        """Return requests for anything but the page itself and its data URIs."""
        return [url for url in self.requests[1:] if not url.startswith(("data:", "blob:"))]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", REPORTS)
def test_the_page_has_no_errors_and_makes_no_requests(browser, pages, name, size, scheme, tmp_path_factory):
    with OpenPage(browser, pages[name], size, scheme) as opened:
        charts = opened.page.locator(".chart").count()
        assert opened.page.locator(".chart svg").count() == charts > 3
        assert opened.page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
        folder = tmp_path_factory.getbasetemp() / "screenshots"
        folder.mkdir(exist_ok=True)
        opened.page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=True)
        print(f"screenshots: {folder}")
        assert opened.messages == []
        assert opened.outside_requests() == []


def test_text_that_looks_like_markup_is_text_everywhere(browser, pages):
    with OpenPage(browser, pages["everything"]) as opened:
        scripts = opened.page.evaluate("[...document.scripts].length")
        assert scripts == Elements(pages["everything"].read_text()).count("script")  # no script was added
        text = opened.page.evaluate("document.querySelector('main').textContent")
        assert text.count(synthetic_report.HOSTILE) > 10
        labels = opened.page.evaluate("[...document.querySelectorAll('.chart svg text')].map(text => text.textContent)")
        assert any("<script>" in label for label in labels)
        assert opened.messages == []


ATTEMPTS = {
    "a script": "document.body.append(Object.assign(document.createElement('script'), { text: 'window.ran = 1' }))",
    "text as code": "setTimeout('window.ran = 1')",
    "a request": "fetch('https://example.org/').catch(() => 0)",
    "a handler": "document.body.innerHTML += '<img src=https://example.org/x.png onerror=\"window.ran = 1\">'",
    "a frame": "document.body.append(Object.assign(document.createElement('iframe'), { src: 'https://example.org/' }))",
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_the_policy_blocks_everything_that_is_not_part_of_the_page(browser, pages, name):
    with OpenPage(browser, pages["one"]) as opened:
        opened.page.evaluate(f"(() => {{ {ATTEMPTS[name]}; }})()")
        opened.page.wait_for_timeout(200)
        assert opened.page.evaluate("window.ran") is None
        assert "Content Security Policy" in " ".join(opened.messages)


def test_other_charts_are_drawn_if_one_cannot_be_drawn(browser, pages, tmp_path):
    text = pages["one"].read_text()
    assert text.count('"layer":[') > 3
    (tmp_path / "page.html").write_text(text.replace('"layer":[', '"layer":3,"no":[', 1))
    with OpenPage(browser, tmp_path / "page.html") as opened:
        notice = opened.page.get_by_text("This chart could not be drawn. Its numbers are in the table.")
        assert notice.count() == 1
        assert opened.page.locator(".chart svg").count() == opened.page.locator(".chart").count() - 1


def test_sweeps_without_this_run_are_drawn_without_messages(browser, pages):
    """Vega would warn that the extent of an empty layer is infinite."""
    folder = pages["everything"].parent.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert report.main(["--run", "other", "--name", "other"]) == 0
    with OpenPage(browser, folder / "reports" / "other.html") as opened:
        assert opened.page.locator("[id^=sweep-] svg").count() == 3
        assert opened.messages == []


def test_pointing_at_a_dot_shows_its_numbers(browser, pages):
    with OpenPage(browser, pages["one"]) as opened:
        opened.page.locator(".chart").first.scroll_into_view_if_needed()
        dots = opened.page.locator(".chart").first.locator("path[aria-roledescription], g.mark-symbol path")
        dots.nth(2).hover()
        tip = opened.page.locator("#vg-tooltip-element.visible")
        tip.wait_for(timeout=MAX_WAIT_MS)
        assert synthetic_report.HOSTILE in tip.text_content()
        assert "0.350" in tip.text_content()
        assert opened.messages == []


def test_the_theme_button_switches_the_page_and_its_charts(browser, pages):
    with OpenPage(browser, pages["one"], scheme="dark") as opened:
        button, states = opened.page.get_by_role("button", name="Theme"), []
        for theme in ("light", "dark", "dark"):
            button.click()
            opened.wait_until_drawn(theme)
            background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
            text = opened.page.evaluate("document.querySelector('.chart svg text').getAttribute('fill')")
            states.append((button.text_content(), background, text))
        assert [state[0] for state in states] == ["Theme: light", "Theme: dark", "Theme: auto"]
        assert states[0][1:] != states[1][1:] == states[2][1:]


def test_the_page_follows_the_theme_of_the_system(browser, pages):
    with OpenPage(browser, pages["one"]) as opened:
        opened.page.emulate_media(color_scheme="dark")
        opened.wait_until_drawn("dark")
        assert opened.messages == []


def test_everything_can_be_reached_by_keyboard_in_reading_order(browser, pages):
    with OpenPage(browser, pages["one"]) as opened:
        reached = []
        while not reached or reached[-1]["tag"] != "BODY":
            opened.page.keyboard.press("Tab")
            reached.append(opened.page.evaluate(_FOCUSED))
        reached.pop()
        assert reached[0]["text"] == "Skip to the content"
        assert reached[1]["text"] == "Theme: auto"
        assert [element["tag"] for element in reached[2:6]] == ["PRE", "A", "A", "A"]
        tops = [element["top"] for element in reached if element["tag"] in ("SUMMARY", "PRE")]
        assert tops == sorted(tops)
        assert len(tops) > 3
        assert all(element["outlined"] for element in reached)


_FOCUSED = """(() => {
  const element = document.activeElement;
  const top = Math.round(element.getBoundingClientRect().top + window.scrollY);
  const outlined = getComputedStyle(element).outlineStyle !== "none" || element.closest(".map") !== null;
  return { tag: element.tagName, text: element.textContent.slice(0, 40), top, outlined };
})()"""


def test_the_skip_link_leads_to_the_content(browser, pages):
    with OpenPage(browser, pages["one"]) as opened:
        opened.page.keyboard.press("Tab")
        opened.page.keyboard.press("Enter")
        assert opened.page.evaluate("document.activeElement.id") == "content"


def test_charts_and_panels_keep_their_role_and_name_when_they_are_redrawn(browser, pages):
    tags = Elements(pages["everything"].read_text()).tags
    written = [attributes for _, attributes in tags if attributes.get("class") == "chart"]
    with OpenPage(browser, pages["everything"]) as opened:
        opened.page.emulate_media(color_scheme="dark")
        opened.wait_until_drawn("dark")
        for attributes in written:
            chart = opened.page.locator(f"[id='{attributes['id']}']")
            assert [chart.get_attribute(name) for name in ("role", "aria-label", "aria-roledescription")] == [
                *("img", attributes["aria-label"], None),
            ]
            assert chart.locator("svg").count() == 1
        plots = opened.page.locator(".map-plot")
        assert plots.count() == 3
        for plot in plots.all():
            assert plot.get_attribute("role") == "application"
            assert "Arrow keys move from dot to dot" in plot.get_attribute("aria-label")
            assert plot.locator("canvas:not(.map-dots)").count() == 1
        assert opened.page.get_by_role("img", name="Vega visualization").count() == 0
        assert "Vega visualization" not in opened.page.locator("body").aria_snapshot()


def test_headings_are_in_order_and_every_section_and_chart_has_a_name(browser, pages):
    with OpenPage(browser, pages["everything"]) as opened:
        levels = opened.page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4')].map(heading => +heading.tagName[1])"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
        for role in ("region", "img", "navigation", "main"):
            for element in opened.page.get_by_role(role).all():
                name = element.evaluate("e => e.ariaLabel || e.alt || e.getAttribute('aria-labelledby') || e.id")
                assert name, element.evaluate("e => e.outerHTML.slice(0, 120)")


def test_a_link_leads_to_its_section_after_charts_are_drawn(browser, pages):
    with OpenPage(browser, pages["everything"]) as opened:
        page = opened.context.new_page()
        page.goto(f"{pages['everything'].as_uri()}#classes")
        page.wait_for_selector("html[data-drawn=light]", state="attached", timeout=MAX_WAIT_MS)
        page.wait_for_timeout(200)
        assert 0 <= page.evaluate("document.getElementById('classes').getBoundingClientRect().top") < 100
        assert opened.messages == []


def test_readers_who_prefer_reduced_motion_get_none(browser, pages):
    with OpenPage(browser, pages["one"], reduced_motion="reduce") as opened:
        assert opened.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_the_numbers_are_shown_without_javascript(browser, pages):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["one"].as_uri())
    assert page.locator("noscript .notice").bounding_box()["height"] > 0
    assert page.get_by_role("button", name="Theme").count() == 0
    page.locator("summary").first.click()
    assert page.locator("details[open] td").first.is_visible()
    context.close()
