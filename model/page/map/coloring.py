"""How the dots of a map look for one task: which classes a clip is in, and each class's colour, shape and size.

classes  up to 56 pairs of one of 7 colours (Okabe and Ito 2008) and one of 8 shapes, both other from class to class
key      colours along the circle of fifths, round for major, triangles for minor
numbers  five classes of as many clips each, along a scale of lightness, larger dots for larger numbers
tags     a clip has several, so all dots look alike until a reader picks a tag, whose clips become diamonds
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

from model.page import markup, theme
from model.probes import musical_keys
from model.probes.task import NUMBERS, TAGS
from stores.labels import split_tags
from stores.manifest import ClipRow

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
NUMBER_CLASSES = 5
MAX_CLASSES = 200
"""A label of more classes colours no map, and of tags so many frequent ones do: nobody reads a longer legend."""
PLAIN = ("#767d8a", "#8f97a5")
"""Of dots in the light and dark theme that no class gives a look: while no tag is picked, and keys that are none."""
_TOO_LARGE = 1e100
_SIZE, _SIZES = 34, (16, 24, 34, 48, 66)
_NUMBER_TASKS = {label for labels in NUMBERS.values() for label in labels}


@dataclass(frozen=True)
class ClassMark:
    """One class and how its dots look."""

    name: str
    """As the labels say it; the range, of numbers."""
    colours: tuple[str, str]
    """`#rrggbb` in the light and in the dark theme."""
    shape: str
    """A symbol of Vega."""
    size: int = _SIZE
    """Area of a dot, square pixels."""
    short: str = ""
    """For the map, where there is little room; empty for the whole name."""


@dataclass(frozen=True)
class ColorEncoding:
    """The classes of one task."""

    name: str
    """Of the task, e.g. `genre`."""
    kind: str
    """`classes`, `key`, `numbers` or `tags`."""
    looks: tuple[ClassMark, ...]
    """Of each class, in the order of the legend."""
    members: tuple[tuple[int, ...], ...]
    """Classes of each clip: one, several of `tags`, none where the clip has no such label."""
    labels: tuple[str, ...]
    """What each clip's label says, numbers to three digits; empty where it has none."""

    @property
    def counts(self) -> list[int]:
        """Clips of each class."""
        found = [0] * len(self.looks)
        for classes in self.members:
            for one in classes:
                found[one] += 1
        return found


def color_encodings(rows: Sequence[ClipRow]) -> list[ColorEncoding]:
    """A colouring for each label that some clip carries, by name, those of one class per clip first.

    Labels of over `MOST_CLASSES` classes are left out, and numbers none of which is one.
    """
    names = sorted({name for row in rows for name in row.labels})
    found = [_colouring(name, [row.labels.get(name) or None for row in rows]) for name in names]
    legible = [one for one in found if 0 < len(one.looks) <= MAX_CLASSES]
    return sorted(legible, key=lambda one: one.kind in ("numbers", "tags"))


def _colouring(name: str, labels: Sequence[str | None]) -> ColorEncoding:
    if name in _NUMBER_TASKS:
        return _numbers(name, labels)
    if name == TAGS:
        return _tags(labels)
    classes = sorted({label for label in labels if label is not None})
    is_key = name == "key" and any(position_on_circle(label) for label in classes)
    looks = sorted(map(_key_look, classes), key=_key_order) if is_key else list(map(_class_look, count(), classes))
    index = {look.name: i for i, look in enumerate(looks)}
    members = tuple(() if label is None else (index[label],) for label in labels)
    return ColorEncoding(
        name, "key" if is_key else "classes", tuple(looks), members, tuple(one or "" for one in labels)
    )


def _class_look(place: int, name: str) -> ClassMark:
    light, dark = theme.LIGHT.categories, theme.DARK.categories
    return ClassMark(
        name,
        (light[place % len(light)], dark[place % len(dark)]),
        SHAPES[place % len(SHAPES)],
    )


def _key_look(name: str) -> ClassMark:
    found = position_on_circle(name)
    if found is None:
        return ClassMark(name, PLAIN, "cross")
    step, mode = found
    return ClassMark(
        name,
        (color_on_circle(step, dark=False), color_on_circle(step, dark=True)),
        "triangle-up" if mode == "minor" else "circle",
        short=tonic(name) + ("m" if mode == "minor" else ""),
    )


def _key_order(look: ClassMark) -> tuple[str, int, str]:
    """Major keys along the circle, then minor ones, then what is no key."""
    step, mode = position_on_circle(look.name) or (0, "none")
    return mode, step, look.name


def _numbers(name: str, labels: Sequence[str | None]) -> ColorEncoding:
    values = np.array([_number(label) for label in labels])
    known = values[np.isfinite(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, NUMBER_CLASSES + 1))) if len(known) else known
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    looks = [_number_look(i, max(1, len(edges) - 2), edges[i], edges[i + 1]) for i in range(len(edges) - 1)]
    classes = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(0, len(looks) - 1))
    members = tuple((int(one),) if math.isfinite(value) else () for one, value in zip(classes, values, strict=True))
    shown = tuple(_said(value) if math.isfinite(value) else "" for value in values)
    return ColorEncoding(name, "numbers", tuple(looks), members, shown)


def _number(label: str | None) -> float:
    """What a label says; NaN for what is no number, or too large to reckon with."""
    try:
        value = float(label) if label else math.nan
    except ValueError:
        return math.nan
    return value if abs(value) < _TOO_LARGE else math.nan


def _said(value: float) -> str:
    return f"{value:.3g}".replace("-", markup.MINUS)


def _number_look(place: int, last: int, low: float, high: float) -> ClassMark:
    share = place / last
    colours = (color_on_scale(share, dark=False), color_on_scale(share, dark=True))
    return ClassMark(f"{_said(low)} to {_said(high)}", colours, "circle", _SIZES[round(share * (len(_SIZES) - 1))])


def _tags(labels: Sequence[str | None]) -> ColorEncoding:
    of_clips = [list(dict.fromkeys(split_tags(label or ""))) for label in labels]
    counted = {tag: sum(tag in tags for tags in of_clips) for tag in {tag for tags in of_clips for tag in tags}}
    known = sorted(counted, key=lambda tag: (-counted[tag], tag))[:MAX_CLASSES]
    look = (theme.LIGHT.categories[0], theme.DARK.categories[0])
    place = {tag: i for i, tag in enumerate(known)}
    members = tuple(tuple(place[tag] for tag in tags if tag in place) for tags in of_clips)
    shown = tuple(", ".join(tags) for tags in of_clips)
    return ColorEncoding(TAGS, "tags", tuple(ClassMark(tag, look, "diamond") for tag in known), members, shown)


STEPS = 12
"""Keys on the circle, of each mode."""
_SIGNS = {"♯": "#", "♭": "b", "-sharp": "#", "-flat": "b"}
_MODES = {"": "major", "maj": "major", "major": "major", "m": "minor", "min": "minor", "minor": "minor"}
_SPELLING = re.compile(r"([A-Ga-g][#b]?)[ :_-]*([A-Za-z]*)")


def tonic(label: str) -> str:
    """The first word of a key, e.g. `Eb` of `Eb minor`."""
    found = _SPELLING.match(_plain(label))
    return found[1].capitalize() if found else label


def position_on_circle(label: str) -> tuple[int, str] | None:
    """Steps above C on the circle, 0 to 11, and the mode of a key such as `Eb minor`, `E♭:min` or `c# major`.

    None for anything else, such as `none` or `D dorian`.
    """
    found = _SPELLING.fullmatch(_plain(label))
    mode = _MODES.get(found[2] if found and found[2] == "m" else found[2].lower()) if found else None
    parsed = musical_keys.parsed(f"{found[1]} {mode}") if found and mode else None
    if parsed is None:
        return None
    pitch, mode = parsed
    return (pitch + (3 if mode == "minor" else 0)) * 7 % STEPS, mode


def _plain(label: str) -> str:
    for sign, plain in _SIGNS.items():
        label = label.replace(sign, plain)
    return label.strip()


# FOLDED FROM model.page.map.hues
"""Colours around a circle, and along a scale, that stand out from what is behind them in either theme."""

_CHROMA = {False: 0.15, True: 0.13}
_LIGHTNESS = {False: (0.50, 0.65), True: (0.68, 0.84)}
"""In OKLab, of steps in turn: neighbours on the circle differ in lightness, too, for those who tell few hues apart."""
_SCALE = {False: (0.0, 0.80), True: (0.30, 1.0)}
"""Parts of viridis that stand out from a light and from a dark card."""
_TO_LMS = ((1.0, 0.3963377774, 0.2158037573), (1.0, -0.1055613458, -0.0638541728), (1.0, -0.0894841775, -1.2914855480))
_TO_RGB = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)


def color_on_circle(step: int, dark: bool) -> str:
    """`#rrggbb` of a step on the circle of fifths, whose neighbours have the nearest hues (OKLab, Ottosson 2020).

    Args:
        step: 0 to 11.
        dark: for a dark theme.
    """
    angle = 2 * math.pi * (step / STEPS + 0.08)
    lightness = _LIGHTNESS[dark][step % 2]
    lab = (lightness, _CHROMA[dark] * math.cos(angle), _CHROMA[dark] * math.sin(angle))
    linear = np.clip(np.array(_TO_RGB) @ (np.array(_TO_LMS) @ lab) ** 3, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return str(to_hex(encoded))


def color_on_scale(place: float, dark: bool) -> str:
    """`#rrggbb` of a value's place, 0 to 1, on a scale whose lightness rises all along (viridis)."""
    least, most = _SCALE[dark]
    return str(to_hex(mpl.colormaps["viridis"](least + place * (most - least))))
