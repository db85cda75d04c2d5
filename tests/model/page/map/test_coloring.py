"""Color encodings: classes differ in more than color, for every kind of label."""

from __future__ import annotations

import re

import pytest
import synthetic_map

from model.page.document import asset
from model.page.map import coloring
from model.page.map.coloring import color_encodings
from stores.manifest import ClipRow


def _encoding(name, labels):
    rows = [
        ClipRow(i, f"{i}", "", "", "train", {} if label is None else {name: label}) for i, label in enumerate(labels)
    ]
    encodings = color_encodings(rows)
    assert [encoding.name for encoding in encodings] == [name]
    return encodings[0]


def test_each_label_has_an_encoding_with_numbers_and_tags_last():
    encodings = color_encodings(synthetic_map.rows(36))
    assert [(encoding.name, encoding.kind) for encoding in encodings] == [
        ("genre", "classes"),
        ("key", "key"),
        ("arousal", "numbers"),
        ("tags", "tags"),
    ]


def test_classes_are_the_labels_and_a_clip_without_a_label_has_none():
    encoding = _encoding("genre", ["b", None, "a", "b"])
    assert [mark.name for mark in encoding.marks] == ["a", "b"]
    assert encoding.members == ((1,), (), (0,), (1,))
    assert encoding.counts == [1, 2]
    assert encoding.labels == ("b", "", "a", "b")


def test_fifty_six_classes_differ_and_eight_of_them_without_color():
    encoding = _encoding("genre", [f"{i:02}" for i in range(56)])
    for theme in range(2):
        assert len({(mark.colors[theme], mark.shape) for mark in encoding.marks}) == 56
    assert len({mark.shape for mark in encoding.marks[:8]}) == 8


def test_keys_follow_the_circle_of_fifths_in_all_spellings():
    encoding = _encoding("key", ["a minor", "F major", "G major", "C major", "none", "F# minor", "Gb minor"])
    assert encoding.kind == "key"
    names = ["C major", "G major", "F major", "a minor", "F# minor", "Gb minor", "none"]
    assert [mark.name for mark in encoding.marks] == names
    assert [mark.short_name for mark in encoding.marks] == ["C", "G", "F", "Am", "F#m", "Gbm", ""]
    assert encoding.marks[0].colors == encoding.marks[3].colors  # C major and A minor
    assert [mark.shape for mark in encoding.marks] == ["circle"] * 3 + ["triangle-up"] * 3 + ["cross"]


def test_labels_called_key_that_are_not_keys_are_ordinary_classes():
    assert _encoding("key", ["front door", "car"]).kind == "classes"


def test_numbers_are_divided_into_five_classes_of_equal_size():
    encoding = _encoding("valence", [f"{i / 10}" for i in range(50)])
    assert encoding.counts == [10] * 5
    assert [mark.size for mark in encoding.marks] == sorted(mark.size for mark in encoding.marks)
    assert encoding.members[0] == (0,)
    assert encoding.members[49] == (4,)
    assert encoding.labels[7] == "0.7"


@pytest.mark.parametrize("labels", [["1"], ["1", "1", "1"], ["1", "2"], ["0", "0", "0", "5"]])
def test_few_different_numbers_give_few_classes(labels):
    encoding = _encoding("arousal", labels)
    assert sum(encoding.counts) == len(labels)
    assert all(len(classes) == 1 for classes in encoding.members)


def test_a_label_that_is_not_a_number_is_in_no_class():
    encoding = _encoding("arousal", ["1", "nan", "inf", "loud", "", None, "-1e308", "1e308", "2"])
    assert [bool(classes) for classes in encoding.members] == [True] + [False] * 7 + [True]


def test_an_empty_label_is_no_label():
    assert _encoding("genre", ["", "a"]).members == ((), (0,))


def test_labels_with_too_many_classes_are_left_out_and_the_most_frequent_tags_are_kept():
    rows = [ClipRow(i, f"{i}", "", "", "", {"name": f"{i}", "tags": f"{i}|{i % 7}"}) for i in range(300)]
    (encoding,) = color_encodings(rows)
    assert encoding.name == "tags"
    assert len(encoding.marks) == coloring.MAX_CLASSES
    assert {mark.name for mark in encoding.marks[:7]} == set("0123456")
    assert encoding.labels[299] == "299, 5"


def test_labels_of_numbers_without_any_number_have_no_encoding():
    assert color_encodings([ClipRow(0, "a", "", "", "", {"arousal": "loud"})]) == []


def test_a_clip_may_have_several_tags_and_frequent_tags_come_first():
    encoding = _encoding("tags", ["slow|voice", "voice", "", None, "voice|loud"])
    assert [mark.name for mark in encoding.marks] == ["voice", "loud", "slow"]
    assert encoding.members == ((2, 0), (0,), (), (), (0, 1))
    assert encoding.labels[0] == "slow, voice"
    assert len({mark.colors for mark in encoding.marks}) == 1


def test_the_script_draws_all_shapes():
    assert set(re.findall(r'^    "([a-z-]+)": "M', asset("elements.js"), re.MULTILINE)) == set(coloring.SHAPES)
