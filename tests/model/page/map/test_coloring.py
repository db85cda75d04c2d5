"""How dots look: classes differ by more than colour, whatever kind of label they come from."""

from __future__ import annotations

import re

import pytest
import synthetic_map

from model.page.document import asset
from model.page.map import coloring
from model.page.map.coloring import color_encodings
from stores.manifest import ClipRow


def _of(name, labels):
    rows = [ClipRow(i, f"{i}", "", "", "train", {} if one is None else {name: one}) for i, one in enumerate(labels)]
    found = color_encodings(rows)
    assert [one.name for one in found] == [name]
    return found[0]


def test_each_label_is_a_colouring_and_those_with_one_class_a_clip_come_first():
    found = color_encodings(synthetic_map.rows(36))
    assert [(one.name, one.kind) for one in found] == [
        ("genre", "classes"),
        ("key", "key"),
        ("arousal", "numbers"),
        ("tags", "tags"),
    ]


def test_classes_are_those_of_the_labels_and_a_clip_without_one_is_in_none():
    one = _of("genre", ["b", None, "a", "b"])
    assert [look.name for look in one.looks] == ["a", "b"]
    assert one.members == ((1,), (), (0,), (1,))
    assert one.counts == [1, 2]
    assert one.labels == ("b", "", "a", "b")


def test_fifty_six_classes_differ_and_eight_of_them_without_colour():
    one = _of("genre", [f"{i:02}" for i in range(56)])
    for theme in range(2):
        assert len({(look.colours[theme], look.shape) for look in one.looks}) == 56
    assert len({look.shape for look in one.looks[:8]}) == 8


def test_keys_stand_along_the_circle_of_fifths_major_first_whatever_their_spelling():
    one = _of("key", ["a minor", "F major", "G major", "C major", "none", "F# minor", "Gb minor"])
    assert one.kind == "key"
    names = ["C major", "G major", "F major", "a minor", "F# minor", "Gb minor", "none"]
    assert [look.name for look in one.looks] == names
    assert [look.short for look in one.looks] == ["C", "G", "F", "Am", "F#m", "Gbm", ""]
    assert one.looks[0].colours == one.looks[3].colours  # C major and A minor
    assert [look.shape for look in one.looks] == ["circle"] * 3 + ["triangle-up"] * 3 + ["cross"]


def test_labels_called_key_that_are_no_keys_are_plain_classes():
    assert _of("key", ["front door", "car"]).kind == "classes"


def test_numbers_fall_into_five_classes_of_as_many_clips():
    one = _of("valence", [f"{i / 10}" for i in range(50)])
    assert one.counts == [10] * 5
    assert [look.size for look in one.looks] == sorted(look.size for look in one.looks)
    assert one.members[0] == (0,)
    assert one.members[49] == (4,)
    assert one.labels[7] == "0.7"


@pytest.mark.parametrize("labels", [["1"], ["1", "1", "1"], ["1", "2"], ["0", "0", "0", "5"]])
def test_few_different_numbers_are_few_classes(labels):
    one = _of("arousal", labels)
    assert sum(one.counts) == len(labels)
    assert all(len(classes) == 1 for classes in one.members)


def test_what_is_no_number_is_in_no_class():
    one = _of("arousal", ["1", "nan", "inf", "loud", "", None, "-1e308", "1e308", "2"])
    assert [bool(classes) for classes in one.members] == [True] + [False] * 7 + [True]


def test_an_empty_label_is_none():
    one = _of("genre", ["", "a"])
    assert one.members == ((), (0,))


def test_more_classes_than_a_reader_reads_are_no_colouring_and_of_tags_the_most_frequent():
    rows = [ClipRow(i, f"{i}", "", "", "", {"name": f"{i}", "tags": f"{i}|{i % 7}"}) for i in range(300)]
    (one,) = color_encodings(rows)
    assert one.name == "tags"
    assert len(one.looks) == coloring.MAX_CLASSES
    assert {look.name for look in one.looks[:7]} == set("0123456")
    assert one.labels[299] == "299, 5"


def test_numbers_that_none_is_of_are_no_colouring():
    assert color_encodings([ClipRow(0, "a", "", "", "", {"arousal": "loud"})]) == []


def test_a_clip_has_several_tags_and_frequent_ones_come_first():
    one = _of("tags", ["slow|voice", "voice", "", None, "voice|loud"])
    assert [look.name for look in one.looks] == ["voice", "loud", "slow"]
    assert one.members == ((2, 0), (0,), (), (), (0, 1))
    assert one.labels[0] == "slow, voice"
    assert len({look.colours for look in one.looks}) == 1


def test_shapes_are_those_that_the_script_draws():
    assert set(re.findall(r'^    "([a-z-]+)": "M', asset("elements.js"), re.MULTILINE)) == set(coloring.SHAPES)
