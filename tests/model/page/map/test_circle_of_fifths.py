"""Keys on the circle of fifths, in all spellings."""

from __future__ import annotations

import pytest

from model.page.map.coloring import position_on_circle, tonic

MAJOR = ("C", "G", "D", "A", "E", "B", "Gb", "Db", "Ab", "Eb", "Bb", "F")
MINOR = ("A", "E", "B", "F#", "C#", "G#", "D#", "Bb", "F", "C", "G", "D")


@pytest.mark.parametrize("step", range(12))
def test_relative_keys_have_the_same_step(step):
    assert position_on_circle(f"{MAJOR[step]} major") == (step, "major")
    assert position_on_circle(f"{MINOR[step]} minor") == (step, "minor")


@pytest.mark.parametrize(
    ("spelling", "plain"),
    [
        ("F♯ minor", "F# minor"),
        ("Gb minor", "F# minor"),
        ("f# minor", "F# minor"),
        ("F#:min", "F# minor"),
        ("F#m", "F# minor"),
        ("E-flat major", "Eb major"),
        ("Eb:maj", "Eb major"),
        ("Eb", "Eb major"),
        ("Eb Major", "Eb major"),
        (" D#_major ", "Eb major"),
    ],
)
def test_all_spellings_of_a_key_have_the_same_position(spelling, plain):
    assert position_on_circle(spelling) == position_on_circle(plain)
    assert position_on_circle(spelling) is not None


@pytest.mark.parametrize("label", ["", "none", "H major", "D dorian", "major", "C## major", "<script>", "CM7"])
def test_a_label_that_is_not_a_key_has_no_position(label):
    assert position_on_circle(label) is None


def test_tonics_are_abbreviated():
    assert [tonic(label) for label in ("E♭ minor", "F# major", "?")] == ["Eb", "F#", "?"]
