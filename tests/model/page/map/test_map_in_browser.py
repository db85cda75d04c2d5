"""The map in a real browser: pointing, choosing, hearing and filtering do what they say, by mouse, touch and keyboard.

Needs a Chromium on the path (Debian's package `chromium`); nothing is downloaded. Screenshots go to a folder that the
first test prints.
"""

from __future__ import annotations

import io
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import synthetic_map
from PIL import Image
from playwright.sync_api import sync_playwright

from model.page.document import page as document
from model.page.map.section import EmbeddingMap
from model.page.map.sound import Sound

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path; on Debian: apt-get install chromium")
CLIPS, HEARD = 81, (0, 3, 40, 41)
SIZES = {"desktop": {"width": 1280, "height": 1000}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    features, store = synthetic_map.made(CLIPS, tmp_path_factory.mktemp("audio"), heard=HEARD)
    return EmbeddingMap.of(features, store, audio_clips=CLIPS)


@pytest.fixture(scope="module")
def file(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "map.html"
    path.write_text(document("A map of <b>clips</b>", "Made out of nothing.", [made.section()]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def _open(browser, file, complaints, size="desktop", scheme="light"):
    """A context with the opened page; whatever the page complains of or asks for is added to `complaints`."""
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme, has_touch=size == "phone")
    _opened(context, file, complaints)
    return context


def _opened(context, file, complaints, panels=3):
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if _leaves(request.url, file) else None)
    page.goto(file.as_uri())
    _until(page, f"document.querySelectorAll('.map-plot canvas').length === {panels}")
    page.wait_for_timeout(150)
    return page


def _leaves(url, file):
    return url != file.as_uri() and not url.startswith(("data:", "blob:"))


def _until(page, expression):
    """Wait until it is true; the page's policy forbids what Playwright's own way of waiting needs."""
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never came true: {expression}"
        page.wait_for_timeout(20)


@pytest.fixture
def opened(browser, file):
    """A function that opens the page."""
    contexts, complaints = [], []

    def open_page(*how):
        contexts.append(_open(browser, file, complaints, *how))
        return contexts[-1].pages[0]

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def desk(browser, file):
    """A page that tests share, and its complaints."""
    complaints = []
    context = _open(browser, file, complaints)
    yield context.pages[0], complaints
    context.close()


class Map:
    """Where dots are on an opened page, computed from what the map was made of."""

    def __init__(self, page, made):
        self.page, self.made = page, made
        self.plots = page.locator(".map-plot")

    def pixels(self, clip):
        """Of a dot, from the upper left corner of its plot."""
        box, (side, up) = self.plots.nth(self.made.clips.panel[clip]).bounding_box(), self.made.clips.reach
        x, y = map(float, self.made.clips.places[clip])
        inside = (box["width"] - 2, box["height"] - 2)  # without its border
        return (x + side) / (2 * side) * inside[0] + 1, (up - y) / (2 * up) * inside[1] + 1

    def at(self, clip):
        """Of a dot, from the upper left corner of the window; scrolls its plot into view."""
        plot = self.plots.nth(self.made.clips.panel[clip])
        plot.scroll_into_view_if_needed()
        box, (x, y) = plot.bounding_box(), self.pixels(clip)
        return box["x"] + x, box["y"] + y

    def shot(self, clip, half=14):
        """Pixels around a dot."""
        x, y = self.at(clip)
        area = {"x": x - half, "y": y - half, "width": 2 * half, "height": 2 * half}
        image = self.page.screenshot(clip=area, animations="disabled")
        return np.asarray(Image.open(io.BytesIO(image)).convert("RGB")).astype(int)

    def whole(self):
        """Pixels of the first panel."""
        image = self.plots.first.screenshot(animations="disabled")
        return np.asarray(Image.open(io.BytesIO(image)).convert("RGB")).astype(float)

    def named(self, clip):
        return self.made.clips.rows[clip].id

    def alone(self, panel=0):
        """The clip of a panel that lies farthest from all others there: no pointer mistakes it."""
        clips = np.flatnonzero(self.made.clips.panel == panel)
        places = self.made.clips.places[clips]
        far = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(len(clips))
        return int(clips[far.min(axis=1).argmax()])

    def heard(self):
        return sorted(self.made.sound.clips)


@pytest.fixture
def chart(desk, made):
    """The shared page as it was when it was opened."""
    page, complaints = desk
    yield Map(page, made)
    page.locator(".map-plot").first.focus()
    page.keyboard.press("Escape")
    page.locator(".map-task select").select_option("0")
    page.mouse.move(5, 5)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(60)
    assert complaints == []


def test_it_looks_as_it_should_at_two_widths_in_both_themes(opened, made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("screenshots")
    for size in SIZES:
        for scheme in ("light", "dark"):
            chart = Map(opened(size, scheme), made)
            clip = made.neighbours.clips[chart.heard()[0]][0]
            chart.page.mouse.click(*chart.at(chart.heard()[0]))
            chart.page.mouse.move(*chart.at(clip))
            chart.page.wait_for_timeout(200)
            content = chart.page.screenshot(path=folder / f"map-{size}-{scheme}.png", full_page=True)
            corner = Image.open(io.BytesIO(content)).convert("L").getpixel((2, 2))
            assert (corner < 60) if scheme == "dark" else (corner > 200)
            wide, shown = chart.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
            assert wide <= shown
    print(f"screenshots: {folder}")


def test_pointing_at_a_dot_shows_its_clip_labels_and_mel(chart):
    card, clip = chart.page.locator(".map-card"), chart.alone()
    assert card.is_hidden()
    chart.page.mouse.move(*chart.at(clip))
    card.locator(f'canvas[data-drawn="{clip}"]').wait_for()
    text = card.inner_text()
    row = chart.made.clips.rows[clip]
    assert row.id in text
    assert row.split.capitalize() in text
    assert f"genre: {row.labels['genre']}" in text
    loud = card.locator("canvas").evaluate(
        "c => { const d = c.getContext('2d').getImageData(48, 0, 1, 64).data;"
        "return [...Array(64).keys()].map((y) => d[4 * y] + d[4 * y + 1] + d[4 * y + 2]); }"
    )
    assert abs(int(np.argmax(loud)) - (127 - row.index % 128) // 2) <= 1
    chart.page.mouse.move(5, 5)
    assert card.is_hidden()


def test_clicking_a_dot_keeps_its_clip_and_lists_its_neighbours(chart):
    details, clip = chart.page.locator(".map-details"), chart.alone()
    assert "No clip chosen" in details.inner_text()
    chart.page.mouse.click(*chart.at(clip))
    assert details.locator("h3").first.inner_text() == chart.named(clip)
    near = chart.made.neighbours.clips[clip]
    assert details.locator("li strong").all_inner_texts() == [chart.named(other) for other in near]
    cosines = [f"cosine {cosine:.2f}" for cosine in chart.made.neighbours.cosines[clip]]
    found = details.locator("li small").all_inner_texts()
    assert [text.split(" · ")[0] for text in found] == cosines
    assert f"{chart.made.neighbours.same_group[clip]} of its 5 nearest clips of all" in details.inner_text()
    chart.page.mouse.move(5, 5)
    assert chart.page.locator(".map-card").is_hidden()
    assert details.locator("h3").first.inner_text() == chart.named(clip)


def test_the_chosen_clip_and_its_neighbours_are_ringed(chart):
    clip = chart.alone()
    near = chart.made.neighbours.clips[clip]
    far = [i for i in range(CLIPS) if i not in near and _apart(chart, i, (clip, *near)) > 0.25][:3]
    before = {i: chart.shot(i) for i in (clip, *near, *far)}
    chart.page.mouse.click(*chart.at(clip))
    chart.page.mouse.move(5, 5)
    chart.page.wait_for_timeout(200)
    changed = {i: int((np.abs(chart.shot(i) - before[i]).max(axis=2) > 60).sum()) for i in before}
    assert far
    assert min(changed[i] for i in (clip, *near)) > 20
    assert max(changed[i] for i in far) == 0


def test_names_of_classes_make_room_for_numbers_of_neighbours(chart):
    chart.page.locator(".map-task select").select_option("0")
    covered = _covered(chart)
    assert covered
    for clip, name, panel in covered[:2]:
        box = _box(chart, name, panel)
        before = _dark(chart, box)
        chart.page.mouse.click(*chart.at(clip))
        assert chart.page.locator(".map-about h3").inner_text() == chart.named(clip)
        chart.page.mouse.move(5, 5)
        chart.page.wait_for_timeout(200)
        after = _dark(chart, _box(chart, name, panel))
        chart.page.keyboard.press("Escape")
        chart.page.wait_for_timeout(200)
        assert after < 0.7 * before
        assert _dark(chart, _box(chart, name, panel)) == before


def _covered(chart):
    """Clips that a mouse can choose, one of whose neighbours' numbers lies right on a name, with that name."""
    made, found = chart.made, []
    names = [(name, panel) for panel, of in enumerate(made.names(made.color_encodings[0])) for name in of]
    pixels = (chart.plots.first.bounding_box()["width"] - 2) / (2 * made.clips.reach[0])
    for clip, near in enumerate(made.neighbours.clips):
        same = [other for other in range(CLIPS) if other != clip and made.clips.panel[other] == made.clips.panel[clip]]
        if min(np.linalg.norm(made.clips.places[same] - made.clips.places[clip], axis=1)) * pixels < 8:
            continue
        for rank, other in enumerate(near):
            turn = 2 * np.pi * rank / len(near)
            x, y = made.clips.places[other] * pixels + 15 * np.array([np.sin(turn), np.cos(turn)])
            for name, panel in names:
                on = abs(x - name.x * pixels) < 3 * len(name.text) and abs(y - name.y * pixels) < 10
                if panel == made.clips.panel[other] and on:
                    found.append((clip, name, panel))
    return found


def _box(chart, name, panel):
    """Where a name stands in the window."""
    plot, (side, up) = chart.plots.nth(panel), chart.made.clips.reach
    plot.scroll_into_view_if_needed()
    box, wide = plot.bounding_box(), 7 * len(name.text)
    x, y = (name.x + side) / (2 * side) * box["width"], (up - name.y) / (2 * up) * box["height"]
    return {"x": box["x"] + x - wide / 2, "y": box["y"] + y - 8, "width": wide, "height": 16}


def _dark(chart, box):
    image = chart.page.screenshot(clip=box, animations="disabled")
    return int((np.asarray(Image.open(io.BytesIO(image)).convert("L")) < 60).sum())


def test_where_every_clip_is_a_piece_of_its_own_pieces_are_not_spoken_of(browser, tmp_path):
    features, store = synthetic_map.made(12)
    one = EmbeddingMap.of(replace(features, rows=[replace(row, group=row.id) for row in features.rows]), store)
    (tmp_path / "own.html").write_text(document("Own", "", [one.section()]), encoding="utf-8")
    context = browser.new_context(viewport=SIZES["desktop"])
    page = _opened(context, tmp_path / "own.html", [], len(one.clips.splits))
    page.mouse.click(*Map(page, one).at(0))
    assert page.locator(".map-near h3").inner_text() == "Most like it"
    assert "piece" not in page.locator(".map").inner_text()
    context.close()


def test_a_map_of_tags_says_that_one_is_to_be_chosen(chart):
    select, number = (
        chart.page.locator(".map-task select"),
        [one.kind for one in chart.made.color_encodings].index("tags"),
    )
    said = chart.page.get_by_text("Choose a tag: its clips become diamonds.")
    assert said.count() == 0
    select.select_option(str(number))
    assert said.is_visible()
    select.select_option("0")


def _apart(chart, clip, others):
    clips = chart.made.clips
    same = [i for i in others if clips.panel[i] == clips.panel[clip]]
    return min((float(np.linalg.norm(clips.places[clip] - clips.places[i])) for i in same), default=9.0)


def test_a_neighbours_button_jumps_there(chart):
    clip = chart.alone()
    chart.page.mouse.click(*chart.at(clip))
    there = chart.made.neighbours.clips[clip][2]
    chart.page.locator(".map-near button").nth(2).click()
    heading = chart.page.locator(".map-about h3")
    assert heading.inner_text() == chart.named(there)
    assert heading.evaluate("element => element === document.activeElement")
    first = chart.made.neighbours.clips[there][0]
    chart.page.keyboard.press("Tab")
    if chart.page.locator(".map-play").is_visible():
        chart.page.keyboard.press("Tab")
    chart.page.keyboard.press("Enter")
    assert heading.inner_text() == chart.named(first)


ARROWS = {"ArrowRight": (1, 0), "ArrowLeft": (-1, 0), "ArrowUp": (0, -1), "ArrowDown": (0, 1)}


def _towards(chart, clip, arrow):
    """By brute force: the nearest dot within 45 degrees of a direction; None where there is none."""
    (x, y), (right, down) = chart.pixels(clip), ARROWS[arrow]
    found = {}
    for other in np.flatnonzero(chart.made.clips.panel == chart.made.clips.panel[clip]):
        dx, dy = np.subtract(chart.pixels(other), (x, y))
        along, across = dx * right + dy * down, abs(dx * down) + abs(dy * right)
        if along > 0.01 and across <= along:
            found[int(other)] = float(np.hypot(dx, dy))
    return min(found, key=found.get) if found else None


def test_arrow_keys_move_to_the_nearest_dot_in_their_direction(chart):
    chart.plots.nth(1).focus()
    status, card = chart.page.locator(".map-status"), chart.page.locator(".map-card strong")
    chart.page.keyboard.press("ArrowRight")
    ids = [row.id for row in chart.made.clips.rows]
    now = ids.index(card.inner_text())
    assert chart.made.clips.panel[now] == 1
    seen = {now}
    for arrow in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp") * 2:
        wanted = _towards(chart, now, arrow)
        chart.page.keyboard.press(arrow)
        moved = ids.index(card.inner_text())
        if wanted is not None:
            assert moved == wanted
        now = moved
        seen.add(now)
        assert status.inner_text().startswith(f"{ids[now]}, ")
    assert len(seen) > 4


def test_enter_keeps_a_clip_and_escape_clears(chart):
    chart.plots.nth(0).focus()
    chart.page.keyboard.press("ArrowUp")
    name = chart.page.locator(".map-card strong").inner_text()
    chart.page.keyboard.press("Enter")
    assert chart.page.locator(".map-about h3").inner_text() == name
    chart.page.keyboard.press("Escape")
    assert "No clip chosen" in chart.page.locator(".map-details").inner_text()
    assert chart.page.locator(".map-card").is_hidden()
    assert chart.plots.nth(0).evaluate("element => element === document.activeElement")


def test_everything_is_reached_by_tab_in_the_order_of_the_page(chart):
    chart.page.locator(".map-task select").focus()
    reached = []
    for _ in range(7):
        chart.page.keyboard.press("Tab")
        reached.append(chart.page.evaluate("document.activeElement.classList[0] || document.activeElement.tagName"))
    assert reached == ["BUTTON"] * 3 + ["map-plot"] * 3 + ["SUMMARY"]
    chart.page.keyboard.press("Shift+Tab")
    assert chart.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_legend_shows_one_class_alone(chart):
    genre, page = chart.made.color_encodings[0], chart.page
    buttons = page.locator(".map-legend button")
    named = [[look.name, str(count)] for look, count in zip(genre.looks, genre.counts, strict=True)]
    assert [text.split("\n") for text in buttons.all_inner_texts()] == named
    inside = chart.alone()
    (which,) = genre.members[inside]
    full = chart.shot(inside)
    other = buttons.nth((which + 1) % 3)
    other.focus()
    page.keyboard.press("Enter")
    assert [one.get_attribute("aria-pressed") for one in buttons.all()].count("true") == 1
    page.wait_for_timeout(150)
    middle = slice(12, 16)
    faded = chart.shot(inside)
    assert faded[middle, middle].mean() > full[middle, middle].mean() + 40
    page.mouse.move(*chart.at(inside))
    shown = page.locator(".map-card")
    assert shown.is_hidden() or chart.named(inside) not in shown.inner_text()
    page.mouse.move(5, 5)
    other.press("Enter")
    page.wait_for_timeout(150)
    assert np.abs(chart.shot(inside) - full).max() < 30
    assert [one.get_attribute("aria-pressed") for one in buttons.all()].count("true") == 0


def test_dots_take_the_colours_of_the_task_that_is_picked(chart):
    select = chart.page.locator(".map-task select")
    assert select.locator("option").all_inner_texts() == [one.name for one in chart.made.color_encodings]
    for number, one in enumerate(chart.made.color_encodings):
        select.select_option(str(number))
        chart.page.wait_for_timeout(150)
        assert chart.page.locator(".map-legend button").count() == len(one.looks)
        seen = [_in_colour(chart.whole(), look.colours[0]) for look in one.looks]
        there = {members[0] for clip, members in enumerate(one.members) if members and not chart.made.clips.panel[clip]}
        if one.kind != "tags":
            assert {which for which, pixels in enumerate(seen) if pixels > 3} == there


def _in_colour(image, colour):
    """How many pixels of a panel have the colour that a dot on the white card has."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) * 0.85 + 255 * 0.15
    return int((np.abs(image - wanted).max(axis=2) < 12).sum())


def test_a_dot_with_sound_plays_and_one_sound_ends_another(chart):
    first, second = chart.heard()[0], chart.heard()[-1]
    audio, play = chart.page.locator(".map audio"), chart.page.locator(".map-play")
    _choose(chart, first)
    _until(chart.page, "document.querySelector('.map audio').readyState >= 3")
    assert audio.get_attribute("src") == chart.made.sound.data_uris()[first]
    assert audio.evaluate("element => element.duration") == pytest.approx(5.0, abs=0.2)
    _until(chart.page, "document.querySelector('.map audio').currentTime > 0.05")
    assert play.inner_text() == "■ Stop"
    play.click()
    assert audio.evaluate("element => element.paused")
    assert play.inner_text() == "▶ Play"
    play.click()
    _choose(chart, second)
    assert audio.get_attribute("src") == chart.made.sound.data_uris()[second]
    chart.page.keyboard.press("Escape")
    assert audio.evaluate("element => element.paused")


def test_a_clip_without_sound_stops_what_plays_and_offers_none(chart):
    _choose(chart, chart.heard()[0])
    silent = next(i for i in range(CLIPS) if i not in chart.heard())
    _choose(chart, silent)
    assert chart.page.locator(".map-play").is_hidden()
    assert chart.page.locator(".map audio").evaluate("element => element.paused")


def _choose(chart, clip):
    """By keyboard: from dot to dot until the pointer's card names the clip; dots may lie too near for a mouse."""
    ids = [row.id for row in chart.made.clips.rows]
    chart.page.mouse.move(*chart.at(clip))
    chart.page.mouse.click(*chart.at(clip))
    found = ids.index(chart.page.locator(".map-about h3").inner_text())
    assert found == clip


def test_foreign_text_stays_text(chart):
    page = chart.page
    assert page.title() == "A map of <b>clips</b>"
    assert synthetic_map.GENRES[0] in page.locator(".map-legend").inner_text()
    page.mouse.click(*chart.at(chart.alone()))
    assert "<img src=x onerror=alert(1)>/" in page.locator(".map-details").inner_text()
    assert page.evaluate("window.pwned") is None
    assert page.locator("img, main b:not(.map-near b), main i").count() == 0


def test_the_theme_button_changes_the_dots_as_well(opened, made):
    chart = Map(opened(), made)
    clip = chart.alone()
    light = chart.shot(clip)
    button = chart.page.locator("#theme")
    while button.inner_text() != "Theme: dark":
        button.click()
    chart.page.wait_for_timeout(400)
    dark = chart.shot(clip)
    assert light[0, 0].mean() > 200
    assert dark[0, 0].mean() < 60
    assert chart.page.locator(".map-plot canvas").count() == 3


def test_on_a_phone_panels_stand_below_each_other_and_a_tap_chooses(opened, made):
    chart = Map(opened("phone"), made)
    boxes = [chart.plots.nth(i).bounding_box() for i in range(3)]
    assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"]
    assert {round(box["x"]) for box in boxes} == {round(boxes[0]["x"])}
    clip = chart.alone(2)
    chart.page.touchscreen.tap(*chart.at(clip))
    assert chart.page.locator(".map-about h3").inner_text() == chart.named(clip)
    assert chart.named(clip) in chart.page.locator(".map-card").inner_text()
    chart.page.touchscreen.tap(*_empty(chart, 2))
    assert chart.page.locator(".map-card").is_hidden()
    assert chart.page.locator(".map-about h3").inner_text() == chart.named(clip)


def _empty(chart, panel):
    """A place of a panel without a dot near it, from the upper left corner of the window."""
    plot = chart.plots.nth(panel)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    dots = [chart.pixels(clip) for clip in np.flatnonzero(chart.made.clips.panel == panel)]
    corners = [(x * box["width"], y * box["height"]) for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9)]
    x, y = max(corners, key=lambda corner: min(np.hypot(*np.subtract(corner, dot)) for dot in dots))
    return box["x"] + x, box["y"] + y


def test_panels_follow_the_width_of_the_window(opened, made):
    chart = Map(opened(), made)
    chart.page.set_viewport_size({"width": 800, "height": 900})
    chart.page.wait_for_timeout(300)
    clip = chart.alone()
    chart.page.mouse.move(*chart.at(clip))
    assert chart.named(clip) in chart.page.locator(".map-card").inner_text()
    sizes = chart.page.evaluate(
        "[...document.querySelectorAll('.map-plot')].map((p) => [p.clientWidth, p.querySelector('canvas').clientWidth])"
    )
    assert all(abs(plot - canvas) <= 1 for plot, canvas in sizes)


def test_sound_that_the_browser_cannot_play_is_told(browser, made, tmp_path):
    silent = next(i for i in range(CLIPS) if i not in made.sound.clips)
    broken = replace(made, sound=Sound({silent: b"no MP3"}, {}))
    file = tmp_path / "broken.html"
    file.write_text(document("Broken", "", [broken.section()]), encoding="utf-8")
    context = browser.new_context(viewport=SIZES["desktop"])
    page = _opened(context, file, [])
    page.mouse.click(*Map(page, broken).at(silent))
    _until(page, "document.querySelector('.map-status').textContent === 'This browser cannot play the sound.'")
    assert page.locator(".map-play").inner_text() == "▶ Play"
    context.close()


@pytest.mark.parametrize("clips", [1, 2, 12])
def test_few_clips_without_labels_make_a_map_as_well(browser, tmp_path, clips):
    features, store = synthetic_map.made(clips)
    for row in features.rows:
        row.labels.clear()
    file, complaints = tmp_path / "few.html", []
    one = EmbeddingMap.of(features, store)
    file.write_text(document("Few", "", [one.section()]), encoding="utf-8")
    context = browser.new_context(viewport=SIZES["desktop"])
    try:
        page = _opened(context, file, complaints, len(one.clips.splits))
        chart = Map(page, one)
        page.mouse.click(*chart.at(0))
        assert page.locator(".map-about h3").inner_text() == chart.named(0)
        assert page.locator(".map-near li").count() == len(one.neighbours.clips[0])
        assert page.locator(".map-task").is_hidden()
        assert page.locator(".map-hint").is_hidden()
    finally:
        context.close()
    assert complaints == []
