"""How a key is written: 24 labels, `C major` to `B minor`, in the spelling of GiantSteps and mir_eval."""

from __future__ import annotations

TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
MODES = ("major", "minor")


def key_label(tonic: int, mode: str) -> str:
    """The label of a key, e.g. `key_label(6, "minor") == "Gb minor"`; `tonic` is any MIDI pitch or pitch class."""
    return f"{TONICS[tonic % 12]} {mode}"


def transposed(label: str, semitones: int) -> str:
    """The label of the same music `semitones` higher; no label stays none."""
    if not label:
        return ""
    tonic, mode = label.split(" ")
    return key_label(TONICS.index(tonic) + semitones, mode)
