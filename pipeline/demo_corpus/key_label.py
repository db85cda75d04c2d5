"""The 24 key labels, `C major` to `B minor`, in the spelling of GiantSteps and mir_eval."""

from __future__ import annotations

TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
MODES = ("major", "minor")


def key_label(tonic: int, mode: str) -> str:
    """Return the label of a key: `key_label(6, "minor") == "Gb minor"`.

    `tonic` is any MIDI pitch or pitch class.
    """
    return f"{TONICS[tonic % 12]} {mode}"


def transpose_label(label: str, semitones: int) -> str:
    """Return the key label of the same music `semitones` higher. An empty label stays empty."""
    if not label:
        return ""
    tonic, mode = label.split(" ")
    return key_label(TONICS.index(tonic) + semitones, mode)
