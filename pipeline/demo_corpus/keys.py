"""The key label of an excerpt: what its parts state, checked against what its notes sound like.

A key is labelled only if every part states one and the same major or minor key throughout the excerpt, and the
Krumhansl-Schmuckler analysis of the excerpt finds that key too. music21 gives a `Key` only where the file names a mode
(MusicXML without `<mode>` and Humdrum signatures give a bare `KeySignature`); ABC's standard says that `K:D` is D major.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from music21 import key

from pipeline.demo_corpus.key_label import MODES, key_label

# Probe-tone ratings: Krumhansl and Kessler 1982; Krumhansl, Cognitive Foundations of Musical Pitch, 1990, p. 30.
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
NOT_STATED, MODAL, CHANGES = "no mode stated", "modal", "key changes"
PARTS_DISAGREE, ANALYSIS_DISAGREES = "parts disagree", "analysis disagrees"


@dataclass(frozen=True)
class KeyVerdict:
    """A key, or why there is none."""

    label: str
    """Such as `Gb minor`, see `key_label`; empty if there is none."""
    reason: str
    """Why there is none; empty if there is one."""


def stated(part_keys: Iterable[tuple[Sequence[key.KeySignature], int]]) -> KeyVerdict:
    """What the parts of an excerpt state together.

    Args:
        part_keys: for each part the key signatures in force within the excerpt, and the semitones by which the part
            sounds higher than it is written.
    """
    found = [[_read(signature, semitones) for signature in keys] for keys, semitones in part_keys]
    everything = {statement for statements in found for statement in statements}
    if not found or not all(found) or NOT_STATED in everything:
        return KeyVerdict("", NOT_STATED)
    if MODAL in everything:
        return KeyVerdict("", MODAL)
    if any(len(set(statements)) > 1 for statements in found):
        return KeyVerdict("", CHANGES)
    if len(everything) > 1:
        return KeyVerdict("", PARTS_DISAGREE)
    return KeyVerdict(everything.pop(), "")


def confirmed(verdict: KeyVerdict, seconds_by_pitch_class: Sequence[float]) -> KeyVerdict:
    """The verdict, if the analysis of how long each pitch class sounds (C first) finds the same key."""
    if verdict.label and analysed(seconds_by_pitch_class) != verdict.label:
        return KeyVerdict("", ANALYSIS_DISAGREES)
    return verdict


def analysed(seconds_by_pitch_class: Sequence[float]) -> str:
    """The key whose probe-tone profile correlates best with the durations of the twelve pitch classes, C first."""
    durations = np.asarray(seconds_by_pitch_class, dtype=np.float64)
    deviations = durations - durations.mean()
    # Up to a factor that all 24 share this is Pearson's correlation.
    scores = {
        key_label(tonic, mode): float(deviations @ np.roll(_standardised(profile), tonic))
        for mode, profile in _PROFILES.items()
        for tonic in range(12)
    }
    return max(scores, key=lambda label: scores[label])


def _standardised(profile: Sequence[float]) -> npt.NDArray[np.float64]:
    values = np.asarray(profile, dtype=np.float64)
    return (values - values.mean()) / values.std()


def _read(signature: key.KeySignature, semitones: int) -> str:
    if not isinstance(signature, key.Key):
        return NOT_STATED
    if signature.mode not in MODES:
        return MODAL
    return key_label(signature.tonic.pitchClass + semitones, signature.mode)
