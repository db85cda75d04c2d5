"""The key label of an excerpt: the key that its parts state, confirmed by an analysis of the notes.

An excerpt gets a key label only if every part states the same major or minor key throughout the excerpt, and if an
analysis of the whole piece finds that key too. music21 gives a `Key` only if the file names a mode. MusicXML without
`<mode>` and Humdrum signatures give a bare `KeySignature`. By the ABC standard, `K:D` is D major.

The profiles were chosen by how often the analysis of ten seconds finds the stated key, over all chorales and quartets
and 673 tunes. Over whole pieces, Albrecht-Shanahan finds 93, 92, 92 and 93 %. Ten seconds are often in a different key
than the whole piece, so the task is not trivial.

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

# Relative frequency of each scale degree: Albrecht and Shanahan, "The use of large corpora to train a new type of
# key-finding algorithm", Music Perception 31(1), 2013.
_PROFILES = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
}
NOT_STATED, MODAL, CHANGES = "no mode stated", "modal", "key changes"
PARTS_DISAGREE, ANALYSIS_DISAGREES = "parts disagree", "analysis disagrees"


@dataclass(frozen=True)
class KeyVerdict:
    """A key, or the reason why there is none."""

    label: str
    """Label such as `Gb minor` (see `key_label`), or an empty string."""
    reason: str
    """Reason why there is no key. Empty if there is one."""


def stated_key(part_keys: Iterable[tuple[Sequence[key.KeySignature], int]]) -> KeyVerdict:
    """Return the key that all parts of an excerpt state.

    Args:
        part_keys: for each part, the key signatures in force within the excerpt, and the semitones by which the part
            sounds higher than it is written.
    """
    by_part = [[_sounding_key(signature, semitones) for signature in keys] for keys, semitones in part_keys]
    distinct = {statement for statements in by_part for statement in statements}
    if not by_part or not all(by_part) or NOT_STATED in distinct:
        return KeyVerdict("", NOT_STATED)
    if MODAL in distinct:
        return KeyVerdict("", MODAL)
    if any(len(set(statements)) > 1 for statements in by_part):
        return KeyVerdict("", CHANGES)
    if len(distinct) > 1:
        return KeyVerdict("", PARTS_DISAGREE)
    return KeyVerdict(distinct.pop(), "")


def confirm_key(verdict: KeyVerdict, durations: Sequence[float]) -> KeyVerdict:
    """Return the verdict if `estimate_key` finds the same key, and a verdict without a key otherwise.

    Args:
        verdict: a stated key. A verdict without a key is returned unchanged.
        durations: total duration of each pitch class, C first.
    """
    if verdict.label and estimate_key(durations) != verdict.label:
        return KeyVerdict("", ANALYSIS_DISAGREES)
    return verdict


def estimate_key(durations: Sequence[float]) -> str:
    """Return the key with the profile that correlates best with the durations of the twelve pitch classes, C first."""
    sounding = np.asarray(durations, dtype=np.float64)
    deviations = sounding - sounding.mean()
    # This is Pearson's correlation up to a factor that all 24 keys share.
    scores = {
        key_label(tonic, mode): float(deviations @ np.roll(_standardize(profile), tonic))
        for mode, profile in _PROFILES.items()
        for tonic in range(12)
    }
    return max(scores, key=lambda label: scores[label])


def _standardize(profile: Sequence[float]) -> npt.NDArray[np.float64]:
    values = np.asarray(profile, dtype=np.float64)
    return np.asarray((values - values.mean()) / values.std(), dtype=np.float64)


def _sounding_key(signature: key.KeySignature, semitones: int) -> str:
    if not isinstance(signature, key.Key):
        return NOT_STATED
    if signature.mode not in MODES:
        return MODAL
    return key_label(signature.tonic.pitchClass + semitones, signature.mode)
