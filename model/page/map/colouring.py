"""How the dots of a map look for one task: which classes a clip is in, and each class's colour, shape and size.

classes  up to 56 pairs of one of 7 colours (Okabe and Ito 2008) and one of 8 shapes, both other from class to class
key      colours along the circle of fifths, round for major, triangles for minor
numbers  five classes of as many clips each, along a scale of lightness, larger dots for larger numbers
tags     a clip has several, so all dots look alike until a reader picks a tag, whose clips become diamonds
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from model.page import markup, theme
from model.page.map import circle_of_fifths, hues
from model.probes.task import NUMBERS, TAGS
from stores.labels import split_tags
from stores.manifest import ClipRow

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
NUMBER_CLASSES = 5
MOST_CLASSES = 200
"""A label of more classes colours no map, and of tags so many frequent ones do: nobody reads a longer legend."""
PLAIN = ("#767d8a", "#8f97a5")
"""Of dots in the light and dark theme that no class gives a look: while no tag is picked, and keys that are none."""
_TOO_LARGE = 1e100
_SIZE, _SIZES = 34, (16, 24, 34, 48, 66)
_NUMBER_TASKS = {label for labels in NUMBERS.values() for label in labels}


@dataclass(frozen=True)
class Look:
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
class Colouring:
    """The classes of one task."""

    name: str
    """Of the task, e.g. `genre`."""
    kind: str
    """`classes`, `key`, `numbers` or `tags`."""
    looks: tuple[Look, ...]
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


def colourings(rows: Sequence[ClipRow]) -> list[Colouring]:
    """A colouring for each label that some clip carries, by name, those of one class per clip first.

    Labels of over `MOST_CLASSES` classes are left out, and numbers none of which is one.
    """
    names = sorted({name for row in rows for name in row.labels})
    found = [_colouring(name, [row.labels.get(name) or None for row in rows]) for name in names]
    legible = [one for one in found if 0 < len(one.looks) <= MOST_CLASSES]
    return sorted(legible, key=lambda one: one.kind in ("numbers", "tags"))


def _colouring(name: str, labels: Sequence[str | None]) -> Colouring:
    if name in _NUMBER_TASKS:
        return _numbers(name, labels)
    if name == TAGS:
        return _tags(labels)
    classes = sorted({label for label in labels if label is not None})
    is_key = name == "key" and any(circle_of_fifths.place(label) for label in classes)
    looks = sorted(map(_key_look, classes), key=_key_order) if is_key else list(map(_class_look, count(), classes))
    place = {look.name: i for i, look in enumerate(looks)}
    members = tuple(() if label is None else (place[label],) for label in labels)
    return Colouring(name, "key" if is_key else "classes", tuple(looks), members, tuple(one or "" for one in labels))


def _class_look(place: int, name: str) -> Look:
    light, dark = theme.LIGHT.categories, theme.DARK.categories
    return Look(name, (light[place % len(light)], dark[place % len(dark)]), SHAPES[place % len(SHAPES)])


def _key_look(name: str) -> Look:
    found = circle_of_fifths.place(name)
    if found is None:
        return Look(name, PLAIN, "cross")
    step, mode = found
    return Look(
        name,
        (hues.on_circle(step, dark=False), hues.on_circle(step, dark=True)),
        "triangle-up" if mode == "minor" else "circle",
        short=circle_of_fifths.tonic(name) + ("m" if mode == "minor" else ""),
    )


def _key_order(look: Look) -> tuple[str, int, str]:
    """Major keys along the circle, then minor ones, then what is no key."""
    step, mode = circle_of_fifths.place(look.name) or (0, "none")
    return mode, step, look.name


def _numbers(name: str, labels: Sequence[str | None]) -> Colouring:
    values = np.array([_number(label) for label in labels])
    known = values[np.isfinite(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, NUMBER_CLASSES + 1))) if len(known) else known
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    looks = [_number_look(i, max(1, len(edges) - 2), edges[i], edges[i + 1]) for i in range(len(edges) - 1)]
    classes = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(0, len(looks) - 1))
    members = tuple((int(one),) if math.isfinite(value) else () for one, value in zip(classes, values, strict=True))
    shown = tuple(_said(value) if math.isfinite(value) else "" for value in values)
    return Colouring(name, "numbers", tuple(looks), members, shown)


def _number(label: str | None) -> float:
    """What a label says; NaN for what is no number, or too large to reckon with."""
    try:
        value = float(label) if label else math.nan
    except ValueError:
        return math.nan
    return value if abs(value) < _TOO_LARGE else math.nan


def _said(value: float) -> str:
    return f"{value:.3g}".replace("-", markup.MINUS)


def _number_look(place: int, last: int, low: float, high: float) -> Look:
    share = place / last
    colours = (hues.on_scale(share, dark=False), hues.on_scale(share, dark=True))
    return Look(f"{_said(low)} to {_said(high)}", colours, "circle", _SIZES[round(share * (len(_SIZES) - 1))])


def _tags(labels: Sequence[str | None]) -> Colouring:
    of_clips = [list(dict.fromkeys(split_tags(label or ""))) for label in labels]
    counted = {tag: sum(tag in tags for tags in of_clips) for tag in {tag for tags in of_clips for tag in tags}}
    known = sorted(counted, key=lambda tag: (-counted[tag], tag))[:MOST_CLASSES]
    look = (theme.LIGHT.categories[0], theme.DARK.categories[0])
    place = {tag: i for i, tag in enumerate(known)}
    members = tuple(tuple(place[tag] for tag in tags if tag in place) for tags in of_clips)
    shown = tuple(", ".join(tags) for tags in of_clips)
    return Colouring(TAGS, "tags", tuple(Look(tag, look, "diamond") for tag in known), members, shown)
