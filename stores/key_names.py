"""Names of musical keys in every common spelling, and the movement of a key label by semitones.

C# minor, Db min, c#m, F#:maj   names with a mode
12A, 8B                         Camelot: A is minor, B is major, 8A is A minor and 8B is C major
5m, 1d                          Open Key: m is minor, d is major, 1m is A minor and 1d is C major
8A or 9A                        a choice between keys, which `parse_keys` reads and `parse_key` does not
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

Key = tuple[int, str]
"""Pitch class from 0 for C to 11 for B, and the mode: `major` or `minor`."""
KeyFormat = Literal["flats", "sharps", "short", "camelot", "open-key"]
FLATS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
SHARPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_MODES = ("major", "minor")
_PITCH_CLASSES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_ACCIDENTALS = {"#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1, "": 0}
_NAME = re.compile(r"([a-gA-G]) ?(#|♯|b|♭|sharp|flat|)[ :_-]?(major|minor|maj|min|m|M)", re.IGNORECASE)
_WHEEL = re.compile(r"(1[0-2]|[1-9])([ABabdm])")
_WHEEL_MODES = {"a": "minor", "b": "major", "m": "minor", "d": "major"}
_FIFTH, _A, _C = 7, 9, 0
_CAMELOT_START, _OPEN_KEY_START = 8, 1
_CHOICE = re.compile(r" or |/|,|;")


def parse_key(label: str) -> Key | None:
    """Return the pitch class and the mode of a key such as `Eb minor`, `c#m`, `12A` or `5m`, or None for other text."""
    text = label.strip()
    if wheel := _WHEEL.fullmatch(text):
        return _wheel_key(int(wheel[1]), wheel[2].lower())
    name = _NAME.fullmatch(text)
    if not name:
        return None
    mode = "major" if name[3] == "M" or name[3].lower().startswith("maj") else "minor"
    return (_PITCH_CLASSES[name[1].lower()] + _ACCIDENTALS[name[2].lower()]) % 12, mode


def parse_keys(label: str) -> tuple[Key, ...]:
    """Return the keys that a label offers, such as two for `8A or 9A`. It is empty if a part of it is no key."""
    keys = [parse_key(part) for part in _CHOICE.split(label)]
    return tuple(dict.fromkeys(key for key in keys if key)) if all(keys) else ()


def key_name(key: Key, key_format: KeyFormat = "flats") -> str:
    """Return the name of a key: `Db minor`, `C# minor`, `C#m`, `12A` or `5m`."""
    pitch_class, mode = key
    if key_format in ("camelot", "open-key"):
        return _wheel_name(pitch_class, mode, key_format)
    if key_format == "short":
        return SHARPS[pitch_class] + ("m" if mode == "minor" else "")
    return f"{(FLATS if key_format == 'flats' else SHARPS)[pitch_class]} {mode}"


def transpose_key(key: Key, semitones: int) -> Key:
    """Return a key that is moved up by `semitones`, or down if they are negative."""
    return (key[0] + semitones) % 12, key[1]


def spellings(labels: Iterable[str]) -> Mapping[Key, str]:
    """Return the first spelling in `labels` of every key that occurs in them."""
    found: dict[Key, str] = {}
    for label in labels:
        if key := parse_key(label):
            found.setdefault(key, label)
    return found


def transpose_label(label: str, semitones: int, known: Mapping[Key, str]) -> str:
    """Return the label of a recording that is moved by `semitones`. Text that is no key stays as it is.

    Args:
        label: the label of the recording as it is.
        semitones: semitones upward.
        known: spelling to use for each key, as `spellings` returns them. Other keys are written with flats.
    """
    key = parse_key(label)
    if key is None:
        return label
    moved = transpose_key(key, semitones)
    return known.get(moved) or key_name(moved)


def _wheel_key(number: int, letter: str) -> Key:
    mode, start = _WHEEL_MODES[letter], _CAMELOT_START if letter in "ab" else _OPEN_KEY_START
    return ((_A if mode == "minor" else _C) + _FIFTH * (number - start)) % 12, mode


def _wheel_name(pitch_class: int, mode: str, key_format: KeyFormat) -> str:
    steps = _FIFTH * (pitch_class - (_A if mode == "minor" else _C)) % 12  # 7 is its own inverse modulo 12
    start, letters = (_CAMELOT_START, "BA") if key_format == "camelot" else (_OPEN_KEY_START, "dm")
    return f"{(steps + start - 1) % 12 + 1}{letters[_MODES.index(mode)]}"
