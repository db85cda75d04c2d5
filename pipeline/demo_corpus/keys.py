"""The key label of an excerpt: what its parts state, checked against what its notes sound like.

A key is labelled only if every part states one and the same major or minor key throughout the excerpt, and an analysis
of the whole piece finds that key too. music21 gives a `Key` only where the file names a mode (MusicXML without
`<mode>` and Humdrum signatures give a bare `KeySignature`); ABC's standard says that `K:D` is D major.

The profiles were chosen by how often the analysis of ten seconds finds the stated key, over all chorales and quartets
and 673 tunes. Over whole pieces Albrecht-Shanahan finds 93, 92, 92 and 93 %: ten seconds often stand in another key
than their piece, which is what makes the task worth learning.

| profiles                   | chorale | quartet | fiddle | irish |
|----------------------------|---------|---------|--------|-------|
| Krumhansl-Kessler 1982     |   49 %  |   36 %  |  82 %  |  77 % |
| Temperley-Kostka-Payne     |   74 %  |   51 %  |  85 %  |  82 % |
| Aarden-Essen 2003          |   70 %  |   41 %  |  76 %  |  65 % |
| Albrecht-Shanahan 2013     |   66 %  |   51 %  |  91 %  |  83 % |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from music21 import key

from pipeline.demo_corpus.key_label import MODES, key_label

# How often each degree occurs: Albrecht and Shanahan, "The use of large corpora to train a new type of key-finding
# algorithm", Music Perception 31(1), 2013.
_PROFILES = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
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


def confirmed(verdict: KeyVerdict, durations: Sequence[float]) -> KeyVerdict:
    """The verdict, if the analysis of how long each pitch class sounds (C first) finds the same key."""
    if verdict.label and analysed(durations) != verdict.label:
        return KeyVerdict("", ANALYSIS_DISAGREES)
    return verdict


def analysed(durations: Sequence[float]) -> str:
    """The key whose profile correlates best with the durations of the twelve pitch classes, C first."""
    sounding = np.asarray(durations, dtype=np.float64)
    deviations = sounding - sounding.mean()
    # Up to a factor that all 24 share this is Pearson's correlation.
    scores = {
        key_label(tonic, mode): float(deviations @ np.roll(_standardised(profile), tonic))
        for mode, profile in _PROFILES.items()
        for tonic in range(12)
    }
    return max(scores, key=lambda label: scores[label])


def _standardised(profile: Sequence[float]) -> npt.NDArray[np.float64]:
    values = np.asarray(profile, dtype=np.float64)
    return np.asarray((values - values.mean()) / values.std(), dtype=np.float64)


def _read(signature: key.KeySignature, semitones: int) -> str:
    if not isinstance(signature, key.Key):
        return NOT_STATED
    if signature.mode not in MODES:
        return MODAL
    return key_label(signature.tonic.pitchClass + semitones, signature.mode)
