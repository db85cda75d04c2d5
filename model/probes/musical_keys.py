"""Relations between musical keys, and the credit for a predicted key (MIREX, as mir_eval computes it).

The credit is 1 for the right key, 0.5 for the key a fifth above it, 0.3 for the relative key, 0.2 for the parallel key
and 0 for all others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stores.key_names import Key, parse_key

CREDIT = {"same": 1.0, "fifth": 0.5, "relative": 0.3, "parallel": 0.2, "other": 0.0}
"""Credit by the relation of the predicted key to the true key."""


def label_ranks(classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of each class in JukeMIR's list of labels, `[C]`: major keys from C upward, then minor keys.

    If a class is not a key, these are the places in `classes`.
    """
    keys = [parse_key(label) for label in classes]
    places = [(key[1] == "minor", key[0]) for key in keys if key]
    order = sorted(range(len(classes)), key=places.__getitem__) if all(keys) else range(len(classes))
    return np.argsort(np.array(order, np.int64))


def relation(true: Key, predicted: Key) -> str:
    """Return the relation of a predicted key to the true key, which is a name of `CREDIT`."""
    semitones = (predicted[0] - true[0]) % 12
    if true[1] == predicted[1]:
        return {0: "same", 7: "fifth"}.get(semitones, "other")
    relative = 9 if true[1] == "major" else 3
    return {relative: "relative", 0: "parallel"}.get(semitones, "other")


def relation_matrix(classes: Sequence[str]) -> list[list[str]]:
    """Return the relation of every class as prediction (column) to every class as truth (row). All must be keys."""
    keys = [key for label in classes if (key := parse_key(label))]
    assert len(keys) == len(classes), "every class of a task of kind `key` is a key"
    return [[relation(true, predicted) for predicted in keys] for true in keys]


def credit_matrix(classes: Sequence[str]) -> NDArray[np.float64]:
    """Return the credit for predicting class j where class i is true, `[C, C]`. All classes must be keys."""
    return np.array([[CREDIT[name] for name in row] for row in relation_matrix(classes)], np.float64)
