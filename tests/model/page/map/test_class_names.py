"""Class names on the map: at the center of their class, inside the panel, and never on one another."""

from __future__ import annotations

import itertools

import numpy as np

from model.page.map import class_names as module
from model.page.map.class_names import class_names

EXTENT = (1.08, 1.2)


def _random(clips, classes, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-1, classes, clips), rng.uniform(-1, 1, (clips, 2)).astype(np.float32)


def test_a_name_is_at_the_clip_with_the_smallest_total_distance():
    classes, coordinates = _random(40, 2)
    for name in class_names(["a", "b"], classes, coordinates, EXTENT):
        of_class = coordinates[classes == name.class_index]
        totals = [sum(np.hypot(*(first - second)) for second in of_class) for first in of_class]
        x, y = of_class[int(np.argmin(totals))]
        assert abs(name.y - y) < 0.15  # it may have been moved to the side or by most of a line
        assert abs(name.x - x) < 0.15


def test_a_name_never_lies_between_two_groups():
    coordinates = np.array([[-1, 0]] * 5 + [[1, 0]] * 4, np.float32)
    (name,) = class_names(["a"], np.zeros(9, np.int64), coordinates, EXTENT)
    assert name.x < -0.8


def test_a_name_hides_no_dot_if_there_is_room_beside_it():
    classes, coordinates = _random(12, 3)
    for name in class_names(["one", "two", "three"], classes, coordinates, EXTENT):
        assert module._hidden_dots(name, coordinates) == 0


def test_names_never_overlap_and_stay_inside_the_panel():
    classes, coordinates = _random(200, 24)
    names = class_names([f"class {i}" for i in range(24)], classes, coordinates, EXTENT)
    assert len(names) > 5
    for first, second in itertools.combinations(names, 2):
        assert not module._overlap(first, second)
    for name in names:
        assert abs(name.x) + module._width(name.text) / 2 <= EXTENT[0] + 1e-6
        assert abs(name.y) < EXTENT[1]


def test_the_larger_class_is_named_if_there_is_no_room_for_all():
    coordinates = np.zeros((9, 2), np.float32)
    classes = np.array([3, 3, 3, 0, 0, 1, 1, 2, 2])
    names = class_names(["a" * 20, "b" * 20, "c" * 20, "d" * 20], classes, coordinates, EXTENT)
    assert [name.text[0] for name in names] == ["d", "a"]


def test_long_names_are_shortened_and_empty_classes_have_none():
    coordinates = np.zeros((3, 2), np.float32)
    names = class_names(["x" * 99, "empty"], np.zeros(3, np.int64), coordinates, EXTENT)
    assert [len(name.text) for name in names] == [module.MAX_CHARACTERS]
    assert class_names(["a"], np.full(3, -1), coordinates, EXTENT) == []
