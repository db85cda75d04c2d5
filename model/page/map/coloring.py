"""The color encoding of the map for one label: the classes of each clip, and the color, shape and size of each class.

classes  up to 56 pairs of 7 colors (Okabe and Ito 2008) and 8 shapes, both different from class to class
key      colors along the circle of fifths, circles for major and triangles for minor
numbers  five classes with equal numbers of clips along a scale of lightness, with larger dots for larger numbers
tags     a clip has several, so all dots look the same until a reader selects a tag, whose clips become diamonds
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from model.page import formats, theme
from model.probes.labeled_clips import TAGS
from model.probes.task import REGRESSION_TASKS
from stores import key_names
from stores.labels import split_tags
from stores.manifest import ClipRow

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
NUMBER_CLASSES = 5
MAX_CLASSES = 200
"""A label with more classes does not color the map, and only so many frequent tags do: nobody reads a longer legend."""
PLAIN = ("#767d8a", "#8f97a5")
"""Color of dots without a class in the light and dark theme, of tags while none is selected, and of invalid keys."""
STEPS = 12
"""Keys of each mode on the circle of fifths."""
_MAX_NUMBER = 1e100
_SIZE, _SIZES = 34, (16, 24, 34, 48, 66)
_NUMBER_LABELS = {label for labels in REGRESSION_TASKS.values() for label in labels}
_SIGNS = {"♯": "#", "♭": "b", "-sharp": "#", "-flat": "b"}
_MODES = {"": "major", "maj": "major", "major": "major", "m": "minor", "min": "minor", "minor": "minor"}
_KEY_PATTERN = re.compile(r"([A-Ga-g][#b]?)[ :_-]*([A-Za-z]*)")
_CHROMA = {False: 0.15, True: 0.13}
_LIGHTNESS = {False: (0.50, 0.65), True: (0.68, 0.84)}
"""Lightness in OKLab of alternate steps, by theme. Neighbors on the circle also differ in lightness, for readers who
cannot distinguish hues well."""
_SCALE = {False: (0.0, 0.80), True: (0.30, 1.0)}
"""Ranges of viridis that have enough contrast with a light and with a dark background."""
_TO_LMS = ((1.0, 0.3963377774, 0.2158037573), (1.0, -0.1055613458, -0.0638541728), (1.0, -0.0894841775, -1.2914855480))
_TO_RGB = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)


@dataclass(frozen=True)
class ClassMark:
    """One class and how its dots look."""

    name: str
    """Name of the class as the labels spell it; for numbers, the range."""
    colors: tuple[str, str]
    """`#rrggbb` in the light and in the dark theme."""
    shape: str
    """Name of a symbol of Vega."""
    size: int = _SIZE
    """Area of a dot in square pixels."""
    short_name: str = ""
    """Name for the map, where there is little room; empty for the whole name."""


@dataclass(frozen=True)
class ColorEncoding:
    """The classes of one label."""

    name: str
    """Name of the label, for example `genre`."""
    kind: str
    """`classes`, `key`, `numbers` or `tags`."""
    marks: tuple[ClassMark, ...]
    """Mark of each class in the order of the legend."""
    members: tuple[tuple[int, ...], ...]
    """Classes of each clip: one, several for tags, none if the clip has no such label."""
    labels: tuple[str, ...]
    """Label of each clip as text, numbers with three digits; empty if the clip has none."""

    @property
    def counts(self) -> list[int]:
        """Number of clips in each class."""
        counts = [0] * len(self.marks)
        for classes in self.members:
            for index in classes:
                counts[index] += 1
        return counts


def color_encodings(rows: Sequence[ClipRow]) -> list[ColorEncoding]:
    """Return a color encoding for each label that a clip carries, sorted by name, with numbers and tags last.

    Labels with more than `MAX_CLASSES` classes are left out, and so are labels of numbers without any number.
    """
    names = sorted({name for row in rows for name in row.labels})
    encodings = [_encoding(name, [row.labels.get(name) or None for row in rows]) for name in names]
    legible = [encoding for encoding in encodings if 0 < len(encoding.marks) <= MAX_CLASSES]
    return sorted(legible, key=lambda encoding: encoding.kind in ("numbers", "tags"))


def tonic(label: str) -> str:
    """Return the tonic of a key, for example `Eb` for `Eb minor`, or the label if it does not begin with a tonic."""
    match = _KEY_PATTERN.match(_plain_accidentals(label))
    return match[1].capitalize() if match else label


def position_on_circle(label: str) -> tuple[int, str] | None:
    """Return steps above C on the circle of fifths, 0 to 11, and the mode of a key.

    Spellings such as `Eb minor`, `E♭:min` or `c# major` are understood. Anything else gives None, for example `none` or
    `D dorian`.
    """
    match = _KEY_PATTERN.fullmatch(_plain_accidentals(label))
    mode = _MODES.get(match[2] if match and match[2] == "m" else match[2].lower()) if match else None
    key = key_names.parse_key(f"{match[1]} {mode}") if match and mode else None
    if key is None:
        return None
    pitch_class, mode = key
    return (pitch_class + (3 if mode == "minor" else 0)) * 7 % STEPS, mode


def color_on_circle(step: int, dark: bool) -> str:
    """Return `#rrggbb` of a step on the circle of fifths, whose neighbors have the nearest hues (OKLab, Ottosson 2020).

    Args:
        step: 0 to 11.
        dark: whether the color is for the dark theme.
    """
    angle = 2 * math.pi * (step / STEPS + 0.08)
    lightness = _LIGHTNESS[dark][step % 2]
    lab = (lightness, _CHROMA[dark] * math.cos(angle), _CHROMA[dark] * math.sin(angle))
    linear = np.clip(np.array(_TO_RGB) @ (np.array(_TO_LMS) @ lab) ** 3, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return str(to_hex(encoded))


def color_on_scale(share: float, dark: bool) -> str:
    """Return `#rrggbb` of a share, 0 to 1, on a scale whose lightness always increases (viridis).

    Args:
        share: position on the scale.
        dark: whether the color is for the dark theme.
    """
    low, high = _SCALE[dark]
    return str(to_hex(mpl.colormaps["viridis"](low + share * (high - low))))


def _encoding(name: str, labels: Sequence[str | None]) -> ColorEncoding:
    if name in _NUMBER_LABELS:
        return _numbers(name, labels)
    return _tags(labels) if name == TAGS else _classes(name, labels)


def _classes(name: str, labels: Sequence[str | None]) -> ColorEncoding:
    classes = sorted({label for label in labels if label is not None})
    is_key = name == "key" and any(position_on_circle(label) for label in classes)
    if is_key:
        marks = sorted(map(_key_mark, classes), key=_key_order)
    else:
        marks = [_class_mark(index, label) for index, label in enumerate(classes)]
    index_of = {mark.name: index for index, mark in enumerate(marks)}
    members = tuple(() if label is None else (index_of[label],) for label in labels)
    kind = "key" if is_key else "classes"
    return ColorEncoding(name, kind, tuple(marks), members, tuple(label or "" for label in labels))


def _class_mark(index: int, name: str) -> ClassMark:
    light, dark = theme.LIGHT.categories, theme.DARK.categories
    colors = (light[index % len(light)], dark[index % len(dark)])
    return ClassMark(name, colors, SHAPES[index % len(SHAPES)])


def _key_mark(name: str) -> ClassMark:
    position = position_on_circle(name)
    if position is None:
        return ClassMark(name, PLAIN, "cross")
    step, mode = position
    return ClassMark(
        name,
        (color_on_circle(step, dark=False), color_on_circle(step, dark=True)),
        "triangle-up" if mode == "minor" else "circle",
        short_name=tonic(name) + ("m" if mode == "minor" else ""),
    )


def _key_order(mark: ClassMark) -> tuple[str, int, str]:
    """Sort major keys along the circle first, then minor keys, then invalid keys."""
    step, mode = position_on_circle(mark.name) or (0, "none")
    return mode, step, mark.name


def _numbers(name: str, labels: Sequence[str | None]) -> ColorEncoding:
    values = np.array([_parse_number(label) for label in labels])
    edges = _quantile_edges(values[np.isfinite(values)])
    last = max(1, len(edges) - 2)
    marks = [_number_mark(i / last, edges[i], edges[i + 1]) for i in range(len(edges) - 1)]
    classes = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(0, len(marks) - 1))
    members = tuple((int(index),) if math.isfinite(value) else () for index, value in zip(classes, values, strict=True))
    texts = tuple(_number_text(value) if math.isfinite(value) else "" for value in values)
    return ColorEncoding(name, "numbers", tuple(marks), members, texts)


def _quantile_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of classes with equal numbers of values, `[edges]`, or none for no values."""
    if not len(values):
        return values
    edges = np.unique(np.quantile(values, np.linspace(0, 1, NUMBER_CLASSES + 1)))
    return np.repeat(edges, 2) if len(edges) == 1 else edges


def _parse_number(label: str | None) -> float:
    """Return the number in a label, or NaN if it is not a number or is too large to calculate with."""
    try:
        value = float(label) if label else math.nan
    except ValueError:
        return math.nan
    return value if abs(value) < _MAX_NUMBER else math.nan


def _number_text(value: float) -> str:
    return f"{value:.3g}".replace("-", formats.MINUS)


def _number_mark(share: float, low: float, high: float) -> ClassMark:
    colors = (color_on_scale(share, dark=False), color_on_scale(share, dark=True))
    size = _SIZES[round(share * (len(_SIZES) - 1))]
    return ClassMark(f"{_number_text(low)} to {_number_text(high)}", colors, "circle", size)


def _tags(labels: Sequence[str | None]) -> ColorEncoding:
    tags_of_clips = [list(dict.fromkeys(split_tags(label or ""))) for label in labels]
    counts = {
        tag: sum(tag in tags for tags in tags_of_clips) for tag in {tag for tags in tags_of_clips for tag in tags}
    }
    frequent = sorted(counts, key=lambda tag: (-counts[tag], tag))[:MAX_CLASSES]
    colors = (theme.LIGHT.categories[0], theme.DARK.categories[0])
    index_of = {tag: index for index, tag in enumerate(frequent)}
    members = tuple(tuple(index_of[tag] for tag in tags if tag in index_of) for tags in tags_of_clips)
    texts = tuple(", ".join(tags) for tags in tags_of_clips)
    return ColorEncoding(TAGS, "tags", tuple(ClassMark(tag, colors, "diamond") for tag in frequent), members, texts)


def _plain_accidentals(label: str) -> str:
    for sign, plain in _SIGNS.items():
        label = label.replace(sign, plain)
    return label.strip()
