"""Key labels in every spelling are read, written and moved."""

from __future__ import annotations

import pytest

from stores import key_names

ALL_KEYS = [(pitch_class, mode) for mode in ("major", "minor") for pitch_class in range(12)]


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("C# minor", (1, "minor")),
        ("Db min", (1, "minor")),
        ("c#m", (1, "minor")),
        ("C♯ Minor", (1, "minor")),
        ("D flat minor", (1, "minor")),
        ("12A", (1, "minor")),
        ("5m", (1, "minor")),
        ("F#:maj", (6, "major")),
        ("EbM", (3, "major")),
        ("bb minor", (10, "minor")),
        ("Bm", (11, "minor")),
        ("8B", (0, "major")),
        ("8A", (9, "minor")),
        ("1d", (0, "major")),
        ("D minor\n", (2, "minor")),
        ("Cb major", (11, "major")),
    ],
)
def test_a_key_is_read_in_every_spelling(label, key):
    assert key_names.parse_key(label) == key


@pytest.mark.parametrize(
    "label", ["", "C", "Bb", "minor", "H minor", "13A", "0B", "8C", "C dorian", "amber", "8A or 9A", "em dash"]
)
def test_other_text_is_no_key(label):
    assert key_names.parse_key(label) is None


def test_a_choice_of_keys_is_read_as_several():
    assert key_names.parse_keys("8A or 9A") == ((9, "minor"), (4, "minor"))
    assert key_names.parse_keys("C major / 8B") == ((0, "major"),)
    assert key_names.parse_keys("8A or jazz") == ()


@pytest.mark.parametrize("key_format", ["flats", "sharps", "camelot", "open-key"])
def test_what_is_written_is_read_back(key_format):
    names = [key_names.key_name(key, key_format) for key in ALL_KEYS]
    assert [key_names.parse_key(name) for name in names] == ALL_KEYS
    assert len(set(names)) == 24


def test_camelot_codes_are_those_of_the_published_wheel():
    wheel = ["Ab minor", "Eb minor", "Bb minor", "F minor", "C minor", "G minor", "D minor", "A minor", "E minor"]
    wheel += ["B minor", "F# minor", "Db minor"]
    codes = [key_names.key_name(key_names.parse_key(name), "camelot") for name in wheel]
    assert codes == [f"{number}A" for number in range(1, 13)]


def test_labels_are_moved_in_the_spelling_of_the_dataset():
    known = key_names.spellings(["F# minor", "blues", "Gb minor"])
    assert key_names.transpose_label("Eb minor", 3, known) == "F# minor"
    assert key_names.transpose_label("12A", -1, known) == "C minor"
    assert key_names.transpose_label("blues", 5, known) == "blues"
