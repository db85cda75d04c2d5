"""Colors of keys and numbers: distinct, visible on their background, and similar for neighbors on the circle."""

from __future__ import annotations

import colorsys

import pytest
from matplotlib.colors import to_rgb

from model.page import theme
from model.page.map import coloring


def _luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(first, second):
    """Return the contrast of WCAG, from 1 to 21."""
    low, high = sorted(map(_luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_the_twelve_keys_are_distinct_and_visible(dark):
    colors = [coloring.color_on_circle(step, dark) for step in range(12)]
    assert len(set(colors)) == 12
    card = (theme.DARK if dark else theme.LIGHT).card
    assert min(_contrast(color, card) for color in colors) > 2.8


def test_hues_go_around_the_circle_once():
    hues = [colorsys.rgb_to_hsv(*to_rgb(coloring.color_on_circle(step, False)))[0] for step in range(12)]
    steps = [(after - before) % 1 for before, after in zip(hues, [*hues[1:], hues[0]], strict=True)]
    assert sum(steps) == pytest.approx(1)


def test_neighbors_on_the_circle_differ_in_lightness():
    light = [_luminance(coloring.color_on_circle(step, False)) for step in range(12)]
    assert all(abs(first - second) > 0.05 for first, second in zip(light, [*light[1:], light[0]], strict=True))


@pytest.mark.parametrize("dark", [False, True])
def test_the_lightness_of_a_scale_always_increases(dark):
    light = [_luminance(coloring.color_on_scale(index / 4, dark)) for index in range(5)]
    assert light == sorted(light)
    assert light[0] < light[-1] / 3
