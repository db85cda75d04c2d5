"""Large arrays lie in files without a name, hold what ordinary arrays hold, and leave nothing behind."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import numpy as np
import pytest

from stores import locations, mapped_array


@pytest.fixture
def small_memory(monkeypatch, tmp_path):
    """Let every array of more than 1 kB be in a file below `tmp_path`."""
    monkeypatch.setattr(mapped_array, "MAX_RAM_BYTES", 1_000)
    monkeypatch.setattr(mapped_array, "BLOCK_BYTES", 3_000)
    monkeypatch.setattr(locations, "STORES", tmp_path)
    return tmp_path


def test_rows_of_a_large_array_are_taken_in_blocks(small_memory):
    array = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    rows = np.random.default_rng(1).integers(0, 500, 300)
    np.testing.assert_array_equal(mapped_array.take(array, rows), array[rows])
    assert len(list(mapped_array.blocks(array))) > 5


def test_a_large_array_is_in_a_file_that_has_no_name_and_ends_with_it(small_memory):
    array = mapped_array.empty((500, 8))
    maps = Path("/proc/self/maps").read_text()
    assert re.search(rf"{re.escape(str(small_memory))}.*\(deleted\)", maps)
    assert list(small_memory.iterdir()) == []
    del array
    gc.collect()
    assert str(small_memory) not in Path("/proc/self/maps").read_text()


def test_a_small_array_stays_in_memory():
    assert mapped_array.empty((10, 8)).base is None
    assert list(mapped_array.blocks(np.zeros((10, 8)))) == [slice(0, 10)]


def test_a_full_disk_is_an_error_before_anything_is_written(small_memory, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        mapped_array.empty((500, 8))
