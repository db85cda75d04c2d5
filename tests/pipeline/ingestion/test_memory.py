"""Tests of the memory measurements of ingestion."""

from __future__ import annotations

import numpy as np
import psutil

from pipeline.ingestion.resources import available_bytes, peak_bytes


def test_the_peak_stays_after_memory_is_freed():
    before = peak_bytes()
    block = np.ones(40_000_000)
    grown = peak_bytes()
    del block
    assert grown >= max(before, 300_000_000)
    assert peak_bytes() >= 0.99 * grown  # the kernel counts in batches


def test_the_available_memory_is_positive_and_at_most_that_of_the_machine():
    assert 0 < available_bytes() <= psutil.virtual_memory().total
