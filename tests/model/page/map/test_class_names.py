"""Names on the map: at the middle of their class, inside the panel, never over one another."""

from __future__ import annotations

import itertools

import numpy as np

from model.page.map import class_names as module
from model.page.map.class_names import class_names

REACH = (1.08, 1.2)


def _random(clips, classes, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-1, classes, clips), rng.uniform(-1, 1, (clips, 2)).astype(np.float32)


def test_a_name_stands_at_the_clip_with_the_least_distance_to_its_class():
    members, places = _random(40, 2)
    for name in class_names(["a", "b"], members, places, REACH):
        of_class = places[members == name.which]
        sums = [sum(np.hypot(*(one - other)) for other in of_class) for one in of_class]
        x, y = of_class[int(np.argmin(sums))]
        assert abs(name.y - y) < 0.15  # it may have moved to the side or most of a line
        assert abs(name.x - x) < 0.15


def test_of_two_groups_a_name_stands_in_one_never_between():
    places = np.array([[-1, 0]] * 5 + [[1, 0]] * 4, np.float32)
    (name,) = class_names(["a"], np.zeros(9, np.int64), places, REACH)
    assert name.x < -0.8


def test_a_name_hides_no_dot_where_there_is_room_beside_it():
    members, places = _random(12, 3)
    for name in class_names(["one", "two", "three"], members, places, REACH):
        assert module._hidden(name, places) == 0


def test_names_never_overlap_and_stay_inside():
    members, places = _random(200, 24)
    found = class_names([f"class {i}" for i in range(24)], members, places, REACH)
    assert len(found) > 5
    for one, other in itertools.combinations(found, 2):
        assert not module._overlap(one, other)
    for name in found:
        assert abs(name.x) + module._width(name.text) / 2 <= REACH[0] + 1e-6
        assert abs(name.y) < REACH[1]


def test_where_there_is_no_room_the_larger_class_is_named():
    places = np.zeros((9, 2), np.float32)
    found = class_names(["a" * 20, "b" * 20, "c" * 20, "d" * 20], np.array([3, 3, 3, 0, 0, 1, 1, 2, 2]), places, REACH)
    assert [name.text[0] for name in found] == ["d", "a"]


def test_long_names_are_shortened_and_classes_without_clips_have_none():
    found = class_names(["x" * 99, "empty"], np.zeros(3, np.int64), np.zeros((3, 2), np.float32), REACH)
    assert [len(name.text) for name in found] == [module.LONGEST]
    assert class_names(["a"], np.full(3, -1), np.zeros((3, 2), np.float32), REACH) == []
