"""Cuts of clips from recordings."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio

from pipeline.audio.cut import cut


@pytest.mark.parametrize(
    ("start", "seconds", "expected"),
    [(0, 0, slice(0, 16_000)), (0.5, 0, slice(8_000, 16_000)), (0.25, 0.5, slice(4_000, 12_000)),
     (0.75, 0.5, slice(12_000, 16_000)), (2, 1, slice(0, 0))],
)  # fmt: skip
def test_a_cut_is_the_samples_between_its_ends(start, seconds, expected):
    samples = synthetic_audio.noise()
    np.testing.assert_array_equal(cut(samples, 16_000, start, seconds), samples[expected])


def test_neighboring_cuts_share_no_sample_and_miss_none():
    samples = synthetic_audio.noise(3.0, 22_050)
    parts = [cut(samples, 22_050, 0.7 * i, 0.7) for i in range(5)]
    np.testing.assert_array_equal(np.concatenate(parts), samples)
