"""The map in a real browser: pointing, selecting, playing and filtering work by mouse, touch and keyboard.

The tests need Chromium on the path (Debian's package `chromium`). Nothing is downloaded. The first test prints the
folder of the screenshots.
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
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path; on Debian: apt-get install chromium"),
]
CLIPS, WITH_AUDIO = 81, (0, 3, 40, 41)
SIZES = {"desktop": {"width": 1280, "height": 1000}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def embedding_map(tmp_path_factory):
    features, store = synthetic_map.features_and_store(CLIPS, tmp_path_factory.mktemp("audio"), with_audio=WITH_AUDIO)
    return EmbeddingMap.build(features, store, audio_clips=CLIPS)


@pytest.fixture(scope="module")
def file(embedding_map, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "map.html"
    path.write_text(document("A map of <b>clips</b>", "Synthetic clips.", [embedding_map.section()]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def _open_context(browser, file, messages, size="desktop", scheme="light"):
    """Open the page in a context of its own. Messages of the browser and requests are added to `messages`."""
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme, has_touch=size == "phone")
    _open_page(context, file, messages)
    return context


def _open_page(context, file, messages, panels=3):
    page = context.new_page()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: messages.append(request.url) if _is_outside(request.url, file) else None)
    page.goto(file.as_uri())
    _wait_until(page, f"document.querySelectorAll('.map-plot canvas:not(.map-dots)').length === {panels}")
    page.wait_for_timeout(150)
    return page


def _is_outside(url, file):
    return url != file.as_uri() and not url.startswith(("data:", "blob:"))


def _wait_until(page, expression):
    """Wait until an expression is true. The policy of the page forbids Playwright's own way of waiting."""
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never became true: {expression}"
        page.wait_for_timeout(20)


@pytest.fixture
def opened(browser, file):
    """A function that opens the page."""
    contexts, messages = [], []

    def open_page(*options):
        contexts.append(_open_context(browser, file, messages, *options))
        return contexts[-1].pages[0]

    yield open_page
    for context in contexts:
        context.close()
    assert messages == []


@pytest.fixture(scope="module")
def desk(browser, file):
    """A page that tests share, and its messages."""
    messages = []
    context = _open_context(browser, file, messages)
    yield context.pages[0], messages
    context.close()


class Map:
    """The positions of dots on an open page, computed from the embedding map."""

    def __init__(self, page, embedding_map):
        self.page, self.embedding_map, self.clips = page, embedding_map, embedding_map.clips
        self.plots = page.locator(".map-plot")

    def pixels(self, clip):
        """Return the pixels of a dot from the upper left corner of its plot."""
        box, (side, top) = self.plots.nth(self.clips.panel[clip]).bounding_box(), self.clips.extent
        x, y = map(float, self.clips.coordinates[clip])
        inside = (box["width"] - 2, box["height"] - 2)  # without its border
        return (x + side) / (2 * side) * inside[0] + 1, (top - y) / (2 * top) * inside[1] + 1

    def at(self, clip):
        """Scroll a dot's plot into view and return the pixels of the dot from the upper left corner of the window."""
        plot = self.plots.nth(self.clips.panel[clip])
        plot.scroll_into_view_if_needed()
        box, (x, y) = plot.bounding_box(), self.pixels(clip)
        return box["x"] + x, box["y"] + y

    def screenshot(self, clip, half=14):
        """Return the image around a dot."""
        x, y = self.at(clip)
        area = {"x": x - half, "y": y - half, "width": 2 * half, "height": 2 * half}
        image = self.page.screenshot(clip=area, animations="disabled")
        return np.asarray(Image.open(io.BytesIO(image)).convert("RGB")).astype(int)

    def first_panel(self):
        """Return the image of the first panel."""
        image = self.plots.first.screenshot(animations="disabled")
        return np.asarray(Image.open(io.BytesIO(image)).convert("RGB")).astype(float)

    def name(self, clip):
        return self.clips.rows[clip].id

    def isolated(self, panel=0):
        """Return the clip of a panel that is farthest from all others, so that a pointer cannot hit another one."""
        clips = np.flatnonzero(self.clips.panel == panel)
        coordinates = self.clips.coordinates[clips]
        distances = np.linalg.norm(coordinates[:, None] - coordinates[None], axis=2) + 9 * np.eye(len(clips))
        return int(clips[distances.min(axis=1).argmax()])

    def with_sound(self):
        return sorted(self.embedding_map.sound.clips)


@pytest.fixture
def chart(desk, embedding_map):
    """The map of the shared page, reset after each test."""
    page, messages = desk
    yield Map(page, embedding_map)
    page.locator(".map-plot").first.focus()
    page.keyboard.press("Escape")
    page.locator(".map-task select").select_option("0")
    page.mouse.move(5, 5)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(60)
    assert messages == []


def test_the_map_fits_two_widths_in_both_themes(opened, embedding_map, tmp_path_factory):
    folder = tmp_path_factory.mktemp("screenshots")
    for size in SIZES:
        for scheme in ("light", "dark"):
            chart = Map(opened(size, scheme), embedding_map)
            clip = embedding_map.neighbors.clips[chart.with_sound()[0]][0]
            chart.page.mouse.click(*chart.at(chart.with_sound()[0]))
            chart.page.mouse.move(*chart.at(clip))
            chart.page.wait_for_timeout(200)
            content = chart.page.screenshot(path=folder / f"map-{size}-{scheme}.png", full_page=True)
            corner = Image.open(io.BytesIO(content)).convert("L").getpixel((2, 2))
            assert (corner < 60) if scheme == "dark" else (corner > 200)
            content_width, window_width = chart.page.evaluate(
                "[document.documentElement.scrollWidth, window.innerWidth]"
            )
            assert content_width <= window_width
    print(f"screenshots: {folder}")


def test_pointing_at_a_dot_shows_its_clip_labels_and_mel(chart):
    card, clip = chart.page.locator(".map-card"), chart.isolated()
    assert card.is_hidden()
    chart.page.mouse.move(*chart.at(clip))
    card.locator(f'canvas[data-drawn="{clip}"]').wait_for()
    text = card.inner_text()
    row = chart.clips.rows[clip]
    assert row.id in text
    assert row.split.capitalize() in text
    assert f"genre: {row.labels['genre']}" in text
    brightness = card.locator("canvas").evaluate(
        "c => { const d = c.getContext('2d').getImageData(48, 0, 1, 64).data;"
        "return [...Array(64).keys()].map((y) => d[4 * y] + d[4 * y + 1] + d[4 * y + 2]); }"
    )
    assert abs(int(np.argmax(brightness)) - (127 - row.index % 128) // 2) <= 1
    chart.page.mouse.move(5, 5)
    assert card.is_hidden()


def test_clicking_a_dot_selects_its_clip_and_lists_its_neighbors(chart):
    details, clip = chart.page.locator(".map-details"), chart.isolated()
    assert "No clip selected" in details.inner_text()
    chart.page.mouse.click(*chart.at(clip))
    assert details.locator("h3").first.inner_text() == chart.name(clip)
    near = chart.embedding_map.neighbors.clips[clip]
    assert details.locator("li strong").all_inner_texts() == [chart.name(other) for other in near]
    cosines = [f"cosine {cosine:.2f}" for cosine in chart.embedding_map.neighbors.cosines[clip]]
    texts = details.locator("li small").all_inner_texts()
    assert [text.split(" · ")[0] for text in texts] == cosines
    assert f"{chart.embedding_map.neighbors.same_group[clip]} of the 5 nearest clips of all" in details.inner_text()
    chart.page.mouse.move(5, 5)
    assert chart.page.locator(".map-card").is_hidden()
    assert details.locator("h3").first.inner_text() == chart.name(clip)


def test_the_selected_clip_and_its_neighbors_have_rings(chart):
    clip = chart.isolated()
    near = chart.embedding_map.neighbors.clips[clip]
    far = [i for i in range(CLIPS) if i not in near and _distance(chart, i, (clip, *near)) > 0.25][:3]
    before = {i: chart.screenshot(i) for i in (clip, *near, *far)}
    chart.page.mouse.click(*chart.at(clip))
    chart.page.mouse.move(5, 5)
    chart.page.wait_for_timeout(200)
    changed = {i: int((np.abs(chart.screenshot(i) - before[i]).max(axis=2) > 60).sum()) for i in before}
    assert far
    assert min(changed[i] for i in (clip, *near)) > 20
    assert max(changed[i] for i in far) == 0


def test_class_names_make_room_for_the_ranks_of_neighbors(chart):
    chart.page.locator(".map-task select").select_option("0")
    covered = _covered_names(chart)
    assert covered
    for clip, name, panel in covered[:2]:
        box = _box(chart, name, panel)
        before = _dark_pixels(chart, box)
        chart.page.mouse.click(*chart.at(clip))
        assert chart.page.locator(".map-about h3").inner_text() == chart.name(clip)
        chart.page.mouse.move(5, 5)
        chart.page.wait_for_timeout(200)
        after = _dark_pixels(chart, _box(chart, name, panel))
        chart.page.keyboard.press("Escape")
        chart.page.wait_for_timeout(200)
        assert after < 0.7 * before
        assert _dark_pixels(chart, _box(chart, name, panel)) == before


def _covered_names(chart):
    """Return clips that a mouse can select and that have a neighbor whose rank lies on a name, with that name."""
    clips, covered = chart.clips, []
    names = _names(chart)
    pixels = (chart.plots.first.bounding_box()["width"] - 2) / (2 * clips.extent[0])
    for clip, near in enumerate(chart.embedding_map.neighbors.clips):
        same_panel = [other for other in range(CLIPS) if other != clip and clips.panel[other] == clips.panel[clip]]
        distances = np.linalg.norm(clips.coordinates[same_panel] - clips.coordinates[clip], axis=1)
        if min(distances) * pixels < 8:
            continue
        for rank, other in enumerate(near):
            turn = 2 * np.pi * rank / len(near)
            x, y = clips.coordinates[other] * pixels + 15 * np.array([np.sin(turn), np.cos(turn)])
            for name, panel in names:
                is_covered = abs(x - name.x * pixels) < 3 * len(name.text) and abs(y - name.y * pixels) < 10
                if panel == clips.panel[other] and is_covered:
                    covered.append((clip, name, panel))
    return covered


def _names(chart):
    """Return the names of the first color encoding, each with its panel."""
    by_panel = chart.embedding_map.names(chart.embedding_map.color_encodings[0])
    return [(name, panel) for panel, names in enumerate(by_panel) for name in names]


def _box(chart, name, panel):
    """Return the box of a name in the window."""
    plot, (side, top) = chart.plots.nth(panel), chart.clips.extent
    plot.scroll_into_view_if_needed()
    box, width = plot.bounding_box(), 7 * len(name.text)
    x, y = (name.x + side) / (2 * side) * box["width"], (top - name.y) / (2 * top) * box["height"]
    return {"x": box["x"] + x - width / 2, "y": box["y"] + y - 8, "width": width, "height": 16}


def _dark_pixels(chart, box):
    image = chart.page.screenshot(clip=box, animations="disabled")
    return int((np.asarray(Image.open(io.BytesIO(image)).convert("L")) < 60).sum())


def test_pieces_are_not_mentioned_if_every_clip_is_a_piece_of_its_own(browser, tmp_path):
    features, store = synthetic_map.features_and_store(12)
    features = replace(features, rows=[replace(row, group=row.id) for row in features.rows])
    ungrouped = EmbeddingMap.build(features, store)
    (tmp_path / "own.html").write_text(document("Own", "", [ungrouped.section()]), encoding="utf-8")
    context = browser.new_context(viewport=SIZES["desktop"])
    page = _open_page(context, tmp_path / "own.html", [], len(ungrouped.clips.splits))
    page.mouse.click(*Map(page, ungrouped).at(0))
    assert page.locator(".map-near h3").inner_text() == "Nearest clips"
    assert "piece" not in page.locator(".map").inner_text()
    context.close()


def test_a_map_of_tags_asks_for_a_selection(chart):
    select = chart.page.locator(".map-task select")
    index = [encoding.kind for encoding in chart.embedding_map.color_encodings].index("tags")
    hint = chart.page.get_by_text("Select a tag to show its clips as diamonds.")
    assert hint.count() == 0
    select.select_option(str(index))
    assert hint.is_visible()
    select.select_option("0")


def _distance(chart, clip, others):
    clips = chart.clips
    same = [i for i in others if clips.panel[i] == clips.panel[clip]]
    return min((float(np.linalg.norm(clips.coordinates[clip] - clips.coordinates[i])) for i in same), default=9.0)


def test_the_button_of_a_neighbor_selects_it(chart):
    clip = chart.isolated()
    chart.page.mouse.click(*chart.at(clip))
    neighbor = chart.embedding_map.neighbors.clips[clip][2]
    chart.page.locator(".map-near button").nth(2).click()
    heading = chart.page.locator(".map-about h3")
    assert heading.inner_text() == chart.name(neighbor)
    assert heading.evaluate("element => element === document.activeElement")
    first = chart.embedding_map.neighbors.clips[neighbor][0]
    chart.page.keyboard.press("Tab")
    if chart.page.locator(".map-play").is_visible():
        chart.page.keyboard.press("Tab")
    chart.page.keyboard.press("Enter")
    assert heading.inner_text() == chart.name(first)


ARROWS = {"ArrowRight": (1, 0), "ArrowLeft": (-1, 0), "ArrowUp": (0, -1), "ArrowDown": (0, 1)}


def _towards(chart, clip, arrow):
    """Return the nearest dot within 45 degrees of a direction by brute force, or None."""
    (x, y), (right, down) = chart.pixels(clip), ARROWS[arrow]
    distances = {}
    for other in np.flatnonzero(chart.clips.panel == chart.clips.panel[clip]):
        dx, dy = np.subtract(chart.pixels(other), (x, y))
        along, across = dx * right + dy * down, abs(dx * down) + abs(dy * right)
        if along > 0.01 and across <= along:
            distances[int(other)] = float(np.hypot(dx, dy))
    return min(distances, key=distances.get) if distances else None


def test_arrow_keys_move_to_the_nearest_dot_in_their_direction(chart):
    chart.plots.nth(1).focus()
    status, card = chart.page.locator(".map-status"), chart.page.locator(".map-card strong")
    chart.page.keyboard.press("ArrowRight")
    ids = [row.id for row in chart.clips.rows]
    current = ids.index(card.inner_text())
    assert chart.clips.panel[current] == 1
    visited = {current}
    for arrow in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp") * 2:
        expected = _towards(chart, current, arrow)
        chart.page.keyboard.press(arrow)
        current = ids.index(card.inner_text())
        assert expected in (None, current)
        visited.add(current)
        assert status.inner_text().startswith(f"{ids[current]}, ")
    assert len(visited) > 4


def test_enter_selects_a_clip_and_escape_clears_the_selection(chart):
    chart.plots.nth(0).focus()
    chart.page.keyboard.press("ArrowUp")
    name = chart.page.locator(".map-card strong").inner_text()
    chart.page.keyboard.press("Enter")
    assert chart.page.locator(".map-about h3").inner_text() == name
    chart.page.keyboard.press("Escape")
    assert "No clip selected" in chart.page.locator(".map-details").inner_text()
    assert chart.page.locator(".map-card").is_hidden()
    assert chart.plots.nth(0).evaluate("element => element === document.activeElement")


def test_the_search_box_fades_other_clips_and_enter_selects_the_first(chart, embedding_map):
    box = chart.page.locator(".map-controls input")
    box.fill("/1")
    ids = [row.id for row in embedding_map.clips.rows]
    found = [clip for clip, name in enumerate(ids) if "/1" in name]
    assert chart.page.locator(".map-controls").inner_text().count(f"{len(found)} found") == 1
    box.press("Enter")
    assert chart.page.locator(".map-about h3").inner_text() == ids[found[0]]
    box.fill("nothing is called so")
    assert "0 found" in chart.page.locator(".map-controls").inner_text()
    chart.page.keyboard.press("Escape")
    assert box.input_value() == ""


def test_everything_can_be_reached_by_tab_in_order(chart):
    chart.page.locator(".map-task select").focus()
    reached = []
    for _ in range(8):
        chart.page.keyboard.press("Tab")
        reached.append(chart.page.evaluate("document.activeElement.classList[0] || document.activeElement.tagName"))
    assert reached == ["INPUT"] + ["BUTTON"] * 3 + ["map-plot"] * 3 + ["SUMMARY"]
    chart.page.keyboard.press("Shift+Tab")
    assert chart.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_legend_shows_a_class_alone(chart):
    genre, page = chart.embedding_map.color_encodings[0], chart.page
    buttons = page.locator(".map-legend button")
    texts = [[mark.name, str(count)] for mark, count in zip(genre.marks, genre.counts, strict=True)]
    assert [text.split("\n") for text in buttons.all_inner_texts()] == texts
    clip = chart.isolated()
    (class_index,) = genre.members[clip]
    full = chart.screenshot(clip)
    other = buttons.nth((class_index + 1) % 3)
    other.focus()
    page.keyboard.press("Enter")
    assert [button.get_attribute("aria-pressed") for button in buttons.all()].count("true") == 1
    page.wait_for_timeout(150)
    middle = slice(12, 16)
    faded = chart.screenshot(clip)
    assert faded[middle, middle].mean() > full[middle, middle].mean() + 40
    page.mouse.move(*chart.at(clip))
    card = page.locator(".map-card")
    assert card.is_hidden() or chart.name(clip) not in card.inner_text()
    page.mouse.move(5, 5)
    other.press("Enter")
    page.wait_for_timeout(150)
    assert np.abs(chart.screenshot(clip) - full).max() < 30
    assert [button.get_attribute("aria-pressed") for button in buttons.all()].count("true") == 0


def test_dots_have_the_colors_of_the_selected_label(chart):
    select = chart.page.locator(".map-task select")
    encodings = chart.embedding_map.color_encodings
    assert select.locator("option").all_inner_texts() == [encoding.name for encoding in encodings]
    for number, encoding in enumerate(encodings):
        select.select_option(str(number))
        chart.page.wait_for_timeout(150)
        assert chart.page.locator(".map-legend button").count() == len(encoding.marks)
        counts = [_pixels_with_color(chart.first_panel(), mark.colors[0]) for mark in encoding.marks]
        members = [classes for clip, classes in enumerate(encoding.members) if not chart.clips.panel[clip]]
        if encoding.kind != "tags":
            visible = {index for index, pixels in enumerate(counts) if pixels > 3}
            assert visible == {classes[0] for classes in members if classes}


def _pixels_with_color(image, color):
    """Return the number of pixels that have the color of a dot on the white card."""
    expected = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) * 0.85 + 255 * 0.15
    return int((np.abs(image - expected).max(axis=2) < 12).sum())


def test_a_dot_with_sound_plays_and_stops_the_previous_sound(chart):
    first, second = chart.with_sound()[0], chart.with_sound()[-1]
    audio, play = chart.page.locator(".map audio"), chart.page.locator(".map-play")
    _select(chart, first)
    _wait_until(chart.page, "document.querySelector('.map audio').readyState >= 3")
    assert audio.get_attribute("src") == chart.embedding_map.sound.data_uris()[first]
    assert audio.evaluate("element => element.duration") == pytest.approx(5.0, abs=0.2)
    _wait_until(chart.page, "document.querySelector('.map audio').currentTime > 0.05")
    assert play.inner_text() == "■ Stop"
    play.click()
    assert audio.evaluate("element => element.paused")
    assert play.inner_text() == "▶ Play"
    play.click()
    _select(chart, second)
    assert audio.get_attribute("src") == chart.embedding_map.sound.data_uris()[second]
    chart.page.keyboard.press("Escape")
    assert audio.evaluate("element => element.paused")


def test_selecting_a_clip_without_sound_stops_the_sound(chart):
    _select(chart, chart.with_sound()[0])
    silent = next(i for i in range(CLIPS) if i not in chart.with_sound())
    _select(chart, silent)
    assert chart.page.locator(".map-play").is_hidden()
    assert chart.page.locator(".map audio").evaluate("element => element.paused")


def _select(chart, clip):
    """Click a clip, and check that no other clip was hit."""
    chart.page.mouse.move(*chart.at(clip))
    chart.page.mouse.click(*chart.at(clip))
    assert chart.page.locator(".map-about h3").inner_text() == chart.name(clip)


def test_foreign_text_stays_text(chart):
    page = chart.page
    assert page.title() == "A map of <b>clips</b>"
    assert synthetic_map.GENRES[0] in page.locator(".map-legend").inner_text()
    page.mouse.click(*chart.at(chart.isolated()))
    assert "<img src=x onerror=alert(1)>/" in page.locator(".map-details").inner_text()
    assert page.evaluate("window.pwned") is None
    assert page.locator("img, main b:not(.map-near b), main i").count() == 0


def test_the_theme_button_changes_the_dots(opened, embedding_map):
    chart = Map(opened(), embedding_map)
    clip = chart.isolated()
    light = chart.screenshot(clip)
    button = chart.page.locator("#theme")
    while button.inner_text() != "Theme: dark":
        button.click()
    chart.page.wait_for_timeout(400)
    dark = chart.screenshot(clip)
    assert light[0, 0].mean() > 200
    assert dark[0, 0].mean() < 60
    assert chart.page.locator(".map-plot canvas:not(.map-dots)").count() == 3


def test_two_panels_stand_side_by_side_on_a_phone_and_a_tap_selects(opened, embedding_map):
    chart = Map(opened("phone"), embedding_map)
    boxes = [chart.plots.nth(i).bounding_box() for i in range(3)]
    assert boxes[0]["y"] == boxes[1]["y"] < boxes[2]["y"]
    assert boxes[0]["x"] < boxes[1]["x"]
    clip = chart.isolated(2)
    chart.page.touchscreen.tap(*chart.at(clip))
    assert chart.page.locator(".map-about h3").inner_text() == chart.name(clip)
    assert chart.name(clip) in chart.page.locator(".map-card").inner_text()
    chart.page.touchscreen.tap(*_empty_position(chart, 2))
    assert chart.page.locator(".map-card").is_hidden()
    assert chart.page.locator(".map-about h3").inner_text() == chart.name(clip)


def _empty_position(chart, panel):
    """Return a position of a panel without a dot near it, from the upper left corner of the window."""
    plot = chart.plots.nth(panel)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    dots = [chart.pixels(clip) for clip in np.flatnonzero(chart.clips.panel == panel)]
    corners = [(x * box["width"], y * box["height"]) for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9)]
    x, y = max(corners, key=lambda corner: min(np.hypot(*np.subtract(corner, dot)) for dot in dots))
    return box["x"] + x, box["y"] + y


def test_panels_follow_the_width_of_the_window(opened, embedding_map):
    chart = Map(opened(), embedding_map)
    chart.page.set_viewport_size({"width": 800, "height": 900})
    chart.page.wait_for_timeout(300)
    clip = chart.isolated()
    chart.page.mouse.move(*chart.at(clip))
    assert chart.name(clip) in chart.page.locator(".map-card").inner_text()
    sizes = chart.page.evaluate(
        "[...document.querySelectorAll('.map-plot')].map((p) => [p.clientWidth, "
        "p.querySelector('canvas:not(.map-dots)').clientWidth])"
    )
    assert all(abs(plot - canvas) <= 1 for plot, canvas in sizes)


def test_the_page_says_if_the_browser_cannot_play_the_sound(browser, embedding_map, tmp_path):
    silent = next(i for i in range(CLIPS) if i not in embedding_map.sound.clips)
    broken = replace(embedding_map, sound=Sound({silent: b"no MP3"}, {}))
    file = tmp_path / "broken.html"
    file.write_text(document("Broken", "", [broken.section()]), encoding="utf-8")
    context = browser.new_context(viewport=SIZES["desktop"])
    page = _open_page(context, file, [])
    page.mouse.click(*Map(page, broken).at(silent))
    _wait_until(page, "document.querySelector('.map-status').textContent === 'This browser cannot play the sound.'")
    assert page.locator(".map-play").inner_text() == "▶ Play"
    context.close()


@pytest.mark.parametrize("clips", [1, 2, 12])
def test_few_clips_without_labels_make_a_map(browser, tmp_path, clips):
    features, store = synthetic_map.features_and_store(clips)
    for row in features.rows:
        row.labels.clear()
    file, messages = tmp_path / "few.html", []
    small_map = EmbeddingMap.build(features, store)
    file.write_text(document("Few", "", [small_map.section()]), encoding="utf-8")
    context = browser.new_context(viewport=SIZES["desktop"])
    try:
        page = _open_page(context, file, messages, len(small_map.clips.splits))
        chart = Map(page, small_map)
        page.mouse.click(*chart.at(0))
        assert page.locator(".map-about h3").inner_text() == chart.name(0)
        assert page.locator(".map-near li").count() == len(small_map.neighbors.clips[0])
        assert page.locator(".map-task").is_hidden()
        assert page.locator(".map-hint").is_hidden()
    finally:
        context.close()
    assert messages == []
