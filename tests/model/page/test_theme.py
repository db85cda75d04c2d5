"""Themes: text is legible on its background in both, and charts and page have the same colors."""

from __future__ import annotations

import itertools
import re

import pytest

from model.page import theme
from model.page.theme import THEMES


def _channel(value):
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _luminance(color):
    red, green, blue = (_channel(int(color[start : start + 2], 16) / 255) for start in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(first, second):
    """Return the contrast of WCAG 2.2, from 1 to 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _ramp_color(ramp, share):
    """Return the color of a ramp at a share, interpolated as d3 does."""
    position = min(share * (len(ramp) - 1), len(ramp) - 1 - 1e-9)
    low, fraction = int(position), position % 1
    pairs = [(int(ramp[low][k : k + 2], 16), int(ramp[low + 1][k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(a + fraction * (b - a)):02x}" for a, b in pairs)


def test_known_contrasts_are_computed_correctly():
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", THEMES)
def test_text_is_legible(name):
    colors = THEMES[name]
    texts, backgrounds = (colors.text, colors.muted, colors.accent), (colors.card, colors.background)
    for text, background in itertools.product(texts, backgrounds):
        assert _contrast(text, background) >= 4.5, (text, background)


@pytest.mark.parametrize("name", THEMES)
def test_marks_are_visible(name):
    colors = THEMES[name]
    for mark in (colors.accent, colors.other):
        assert _contrast(mark, colors.card) >= 3


@pytest.mark.parametrize("name", THEMES)
def test_numbers_are_legible_in_cells_of_every_share(name):
    colors = THEMES[name]
    for percent in range(101):
        text = colors.faint if percent <= 50 else colors.strong
        assert _contrast(text, _ramp_color(colors.ramp, percent / 100)) >= 4.5, percent


@pytest.mark.parametrize("name", THEMES)
def test_the_trained_representation_has_the_same_color_everywhere(name):
    colors, config = THEMES[name], theme.vega_config(THEMES[name])
    assert config["style"]["trained"]["color"] == config["range"]["category"][0] == colors.accent
    assert f"--accent: {colors.accent};" in theme.style_sheet()


def test_the_style_sheet_has_both_themes_for_the_system_and_the_button():
    schemes = re.findall(r"[{ ]color-scheme: (light|dark)", theme.style_sheet())
    assert schemes == ["light", "dark", "dark"]
    assert not theme.LIGHT.dark
    assert theme.DARK.dark


def test_pictures_are_dimmed_in_the_dark_theme_only():
    filters = re.findall(r"color-scheme: (\w+); --picture: ([^;]+);", theme.style_sheet())
    assert filters == [("light", "none"), ("dark", "brightness(.72)"), ("dark", "brightness(.72)")]
