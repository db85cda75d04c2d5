"""The average over transposed copies of a recording, each of which is moved back to the recording's own key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stores import key_names
from stores.errors import InvalidInput


def move_back(outputs: NDArray[np.float32], semitones: Sequence[int], classes: Sequence[str]) -> NDArray[np.float32]:
    """Return the outputs of transposed clips as outputs for the keys of the recordings themselves.

    A copy that is 3 semitones higher sounds in D# where its recording sounds in C, so its output for D# counts for C.

    Args:
        outputs: outputs before softmax, `[clips, C]`.
        semitones: transposition of each clip.
        classes: names of the outputs, which must be all 24 keys.

    Raises:
        InvalidInput: the outputs are not the 24 keys.
    """
    keys = [key_names.parse_key(name) for name in classes]
    places = {key: place for place, key in enumerate(keys) if key}
    if len(places) != len(classes) or len(places) != 2 * len(key_names.FLATS):
        raise InvalidInput(
            f"an average over transpositions needs a probe of all 24 keys, and this one has {len(classes)} outputs "
            f"such as {classes[0]!r}; train it on transposed copies (`python -m pipeline.ingest ... --transpose 12`)"
        )
    moved = {
        step: [places[key_names.transpose_key(key, step)] for key in keys if key] for step in sorted(set(semitones))
    }
    order = np.array([moved[step] for step in semitones])
    result: NDArray[np.float32] = np.take_along_axis(outputs, order, axis=1)
    return result
