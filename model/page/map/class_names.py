"""Positions of class names on the map: at the center of a class or beside it, where a name hides the fewest dots.

The center is the clip with the smallest total distance to the other clips of its class. Unlike a mean, it never lies
between two groups. Names never overlap. A name without room is left out, but the legend contains it, and the name
appears when its class is selected alone.

Coordinates are in units of the layout, for panels that are about 330 pixels wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

MAX_CHARACTERS = 22
"""Characters of a name that are shown on the map."""
_CHARACTER_WIDTH, _MARGIN, _LINE_HEIGHT = 0.053, 0.05, 0.105
"""Width of a character, margin beside a name, and height of a line, in bold text of 12 pixels."""
_SHIFTS = tuple((widths, lines) for widths in (0, 0.6, -0.6) for lines in (0, 0.8, -0.8))
"""Distances by which a name may move from the center: widths to the side, and lines upward. Earlier ones are better."""
_MAX_CENTER_CLIPS = 2_000


@dataclass(frozen=True)
class ClassName:
    """A class name on the map."""

    text: str
    """Name, shortened if it is long."""
    class_index: int
    """Index of the class."""
    x: float
    """Horizontal coordinate of the middle of the text."""
    y: float
    """Vertical coordinate of the middle of the text."""


def class_names(
    names: Sequence[str], classes: NDArray[np.int64], coordinates: NDArray[np.float32], extent: tuple[float, float]
) -> list[ClassName]:
    """Return the names that fit into one panel. Large classes are placed first.

    Args:
        names: names of the classes.
        classes: class of each clip in the panel, -1 for none, `[clips]`.
        coordinates: coordinates of these clips, `[clips, 2]`.
        extent: distance from the middle of the panel to its side and to its top.
    """
    counts = np.bincount(classes[classes >= 0], minlength=len(names))
    placed: list[ClassName] = []
    for index in np.argsort(-counts, kind="stable"):
        if counts[index]:
            x, y = _center(coordinates[classes == index])
            name = ClassName(_shortened(names[index]), int(index), x, y)
            free = [shifted for shifted in _shifted(name, extent) if not any(_overlap(shifted, p) for p in placed)]
            placed += sorted(free, key=lambda candidate: _hidden_dots(candidate, coordinates))[:1]
    return placed


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_CHARACTERS else f"{name[: MAX_CHARACTERS - 1]}…"


def _center(coordinates: NDArray[np.float32]) -> tuple[float, float]:
    coordinates = coordinates[:: -(-len(coordinates) // _MAX_CENTER_CLIPS)]  # distances of all pairs
    totals = np.linalg.norm(coordinates[:, None] - coordinates[None], axis=2).sum(axis=1)
    x, y = coordinates[int(totals.argmin())]
    return float(x), float(y)


def _shifted(name: ClassName, extent: tuple[float, float]) -> list[ClassName]:
    """Return the name at all allowed positions, moved into the panel."""
    width = _width(name.text)
    side, top = extent[0] - width / 2, extent[1] - _LINE_HEIGHT / 2
    centers = [(name.x + widths * (width + _MARGIN), name.y + lines * _LINE_HEIGHT) for widths, lines in _SHIFTS]
    return [replace(name, x=max(-side, min(side, x)), y=max(-top, min(top, y))) for x, y in centers]


def _hidden_dots(name: ClassName, coordinates: NDArray[np.float32]) -> int:
    """Return how many dots lie under a name."""
    dx, dy = np.abs(coordinates - (name.x, name.y)).T
    return int(((dx < _width(name.text) / 2) & (dy < _LINE_HEIGHT / 2)).sum())


def _overlap(first: ClassName, second: ClassName) -> bool:
    side_by_side = abs(first.x - second.x) >= (_width(first.text) + _width(second.text)) / 2
    return not side_by_side and abs(first.y - second.y) < _LINE_HEIGHT * 0.999


def _width(text: str) -> float:
    return len(text) * _CHARACTER_WIDTH + _MARGIN
