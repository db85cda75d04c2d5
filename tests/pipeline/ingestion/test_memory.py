"""Tests of the memory measurements of ingestion."""

from __future__ import annotations

import numpy as np

from pipeline.ingestion.resources import peak_bytes


def test_the_peak_stays_after_memory_is_freed():
    before = peak_bytes()
    block = np.ones(40_000_000)
    grown = peak_bytes()
    del block
    assert grown >= max(before, 300_000_000)
    assert peak_bytes() >= 0.99 * grown  # the kernel counts in batches
