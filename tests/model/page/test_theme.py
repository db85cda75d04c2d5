"""Themes: words can be read on what is behind them, in both, and charts and page have the same colours."""

from __future__ import annotations

import itertools
import re

import pytest

from model.page import theme
from model.page.theme import THEMES


def _channel(value):
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _luminance(colour):
    red, green, blue = (_channel(int(colour[place : place + 2], 16) / 255) for place in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one, other):
    """WCAG 2.2's ratio, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _at(ramp, share):
    """The colour of a ramp at a share, as d3 interpolates it."""
    place = min(share * (len(ramp) - 1), len(ramp) - 1 - 1e-9)
    low, part = int(place), place % 1
    pairs = [(int(ramp[low][k : k + 2], 16), int(ramp[low + 1][k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(a + part * (b - a)):02x}" for a, b in pairs)


def test_known_contrasts_are_what_they_are_known_to_be():
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", THEMES)
def test_words_can_be_read(name):
    one = THEMES[name]
    for words, behind in itertools.product((one.text, one.muted, one.accent), (one.card, one.background)):
        assert _contrast(words, behind) >= 4.5, (words, behind)


@pytest.mark.parametrize("name", THEMES)
def test_marks_can_be_seen(name):
    one = THEMES[name]
    for mark in (one.accent, one.other):
        assert _contrast(mark, one.card) >= 3


@pytest.mark.parametrize("name", THEMES)
def test_numbers_in_cells_can_be_read_however_full_the_cell(name):
    one = THEMES[name]
    for percent in range(101):
        words = one.faint if percent <= 50 else one.strong
        assert _contrast(words, _at(one.ramp, percent / 100)) >= 4.5, percent


@pytest.mark.parametrize("name", THEMES)
def test_the_trained_one_has_the_same_colour_everywhere(name):
    one, config = THEMES[name], theme.vega_config(THEMES[name])
    assert config["style"]["trained"]["color"] == config["range"]["category"][0] == one.accent
    assert f"--accent: {one.accent};" in theme.style_sheet()


def test_the_style_sheet_has_both_themes_for_the_system_and_for_the_button():
    found = re.findall(r"[{ ]color-scheme: (light|dark)", theme.style_sheet())
    assert found == ["light", "dark", "dark"]
    assert not theme.LIGHT.dark
    assert theme.DARK.dark


def test_pictures_are_dimmed_in_the_dark_only():
    found = re.findall(r"color-scheme: (\w+); --picture: ([^;]+);", theme.style_sheet())
    assert found == [("light", "none"), ("dark", "brightness(.72)"), ("dark", "brightness(.72)")]
