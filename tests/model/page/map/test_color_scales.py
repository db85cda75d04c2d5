"""Colours of keys and numbers: distinct, legible against their card, neighbours on the circle alike in hue."""

from __future__ import annotations

import colorsys

import pytest
from matplotlib.colors import to_rgb

from model.page import theme
from model.page.map import coloring


def _luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """WCAG's ratio, 1 to 21."""
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_the_twelve_keys_differ_and_stand_out_from_the_card(dark):
    colours = [coloring.color_on_circle(step, dark) for step in range(12)]
    assert len(set(colours)) == 12
    card = (theme.DARK if dark else theme.LIGHT).card
    assert min(contrast(colour, card) for colour in colours) > 2.8


def test_hues_go_once_around():
    found = [colorsys.rgb_to_hsv(*to_rgb(coloring.color_on_circle(step, False)))[0] for step in range(12)]
    steps = [(after - before) % 1 for before, after in zip(found, [*found[1:], found[0]], strict=True)]
    assert sum(steps) == pytest.approx(1)


def test_keys_side_by_side_on_the_circle_differ_in_lightness():
    light = [_luminance(coloring.color_on_circle(step, False)) for step in range(12)]
    assert all(abs(one - other) > 0.05 for one, other in zip(light, [*light[1:], light[0]], strict=True))


@pytest.mark.parametrize("dark", [False, True])
def test_a_scale_rises_in_lightness_all_along(dark):
    light = [_luminance(coloring.color_on_scale(place / 4, dark)) for place in range(5)]
    assert light == sorted(light)
    assert light[0] < light[-1] / 3
