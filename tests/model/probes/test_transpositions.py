"""The outputs of transposed copies are moved back to the key of their recording."""

from __future__ import annotations

import numpy as np
import pytest

from model.probes import sequential_head, transpositions
from stores import key_names
from stores.errors import InvalidInput

CAMELOT = tuple(f"{number}{letter}" for number in range(1, 13) for letter in "AB")


@pytest.mark.parametrize("classes", [sequential_head.KEYS, tuple(sorted(sequential_head.KEYS)), CAMELOT])
def test_a_copy_that_hears_its_own_key_votes_for_the_key_of_the_recording(classes):
    keys = [key_names.parse_key(name) for name in classes]
    recording = (2, "minor")
    steps = list(range(-5, 7))
    outputs = np.zeros((12, 24), np.float32)
    for row, step in enumerate(steps):
        outputs[row, keys.index(key_names.transpose_key(recording, step))] = 1
    moved = transpositions.move_back(outputs, steps, classes)
    assert {keys[place] for place in moved.argmax(axis=1)} == {recording}
    np.testing.assert_array_equal(np.sort(moved), np.sort(outputs))


@pytest.mark.parametrize("classes", [["C major", "A minor"], [*sequential_head.KEYS[:23], "noise"]])
def test_a_probe_that_does_not_know_all_keys_is_an_error(classes):
    with pytest.raises(InvalidInput, match="all 24 keys"):
        transpositions.move_back(np.zeros((1, len(classes)), np.float32), [0], classes)
