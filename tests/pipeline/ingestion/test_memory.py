"""Memory of this process."""

from __future__ import annotations

import numpy as np
import psutil

from pipeline.ingestion.resources import available_bytes, peak_bytes


def test_the_peak_stays_when_the_memory_is_given_back():
    before = peak_bytes()
    block = np.ones(40_000_000)
    grown = peak_bytes()
    del block
    assert grown >= max(before, 300_000_000)
    assert peak_bytes() >= 0.99 * grown  # the kernel counts in batches


def test_there_is_memory_but_not_more_than_the_machine_has():
    assert 0 < available_bytes() <= psutil.virtual_memory().total
