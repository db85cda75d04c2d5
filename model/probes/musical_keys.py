"""Musical keys: how they are written, and what a mistaken one is worth (MIREX, as mir_eval computes it).

1 for the same key, 0.5 for the key a fifth above it, 0.3 for the relative one, 0.2 for the parallel one, else 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CREDIT = {"same": 1.0, "fifth": 0.5, "relative": 0.3, "parallel": 0.2, "other": 0.0}
"""By how the estimated key stands to the true one."""
_PITCH = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_KEY = re.compile(r"([a-g])([#b]?) (major|minor)")


def parsed(label: str) -> tuple[int, str] | None:
    """Pitch class and mode of a key such as `Eb minor`; None for anything else."""
    found = _KEY.fullmatch(label[:1].lower() + label[1:])
    if not found:
        return None
    return (_PITCH[found[1]] + {"#": 1, "b": -1, "": 0}[found[2]]) % 12, found[3]


def relation(true: tuple[int, str], estimated: tuple[int, str]) -> str:
    """How an estimated key stands to the true one: a name of `CREDIT`."""
    above = (estimated[0] - true[0]) % 12
    if true[1] == estimated[1]:
        return {0: "same", 7: "fifth"}.get(above, "other")
    relative = 9 if true[1] == "major" else 3
    return {relative: "relative", 0: "parallel"}.get(above, "other")


def relations(classes: Sequence[str]) -> list[list[str]]:
    """Relation of every class (column: estimated) to every class (row: true); all must be keys."""
    found = [parsed(label) for label in classes]
    known = [one for one in found if one]
    assert len(known) == len(found), "the task's kind is `key`, so every class is one"
    return [[relation(true, estimated) for estimated in known] for true in known]


def credit(classes: Sequence[str]) -> NDArray[np.float64]:
    """What predicting class j is worth where i is true, `[C, C]`; all classes must be keys."""
    return np.array([[CREDIT[one] for one in row] for row in relations(classes)], np.float64)
