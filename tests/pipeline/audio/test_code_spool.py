"""Codes in a temporary file are the same as in memory, and disappear with their object."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio import code_spool
from pipeline.audio.code_spool import CodeCollector, JoinedCodes, SpooledCodes
from stores.digest import codes_digest

DTYPES = ["uint8", "uint16", "float32"]


def _codes(frames, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, 255, (16, frames)).astype(dtype)


def _spool(codes, max_frames=5_000, step=333):
    spool = SpooledCodes(len(codes), max_frames, codes.dtype.name)
    for start in range(0, codes.shape[1], step):
        spool.append(codes[:, start : start + step])
    return spool


@pytest.mark.parametrize("dtype", DTYPES)
def test_spooled_codes_have_the_same_values_shape_and_digest(dtype, monkeypatch):
    codes = _codes(2_000, dtype)
    spool = _spool(codes)
    assert (spool.shape, spool.dtype) == (codes.shape, codes.dtype)
    np.testing.assert_array_equal(np.asarray(spool), codes)
    for start, stop in ((0, 10), (777, 1_500), (1_990, 4_000), (2_000, 2_010)):
        np.testing.assert_array_equal(spool[:, start:stop], codes[:, start:stop])
    assert spool.digest() == codes_digest(codes)
    monkeypatch.setattr(code_spool, "_READ_BYTES", 64)
    assert spool.digest() == codes_digest(codes)


def test_joined_codes_are_read_across_their_pieces():
    pieces = [_codes(frames, seed=frames) for frames in (5, 1, 700, 30)]
    whole = np.concatenate(pieces, axis=1)
    joined = JoinedCodes([pieces[0], pieces[1], _spool(pieces[2]), pieces[3]])
    assert joined.shape == whole.shape
    for start, stop in ((0, 3), (4, 8), (0, 736), (700, 1_000), (736, 740)):
        np.testing.assert_array_equal(joined[:, start:stop], whole[:, start:stop])


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_a_collector_gives_the_same_codes_in_memory_and_in_a_file(monkeypatch, limit):
    monkeypatch.setattr(code_spool, "MAX_MEMORY_BYTES", limit)
    monkeypatch.setattr(code_spool, "FLUSH_BYTES", 1_000)
    codes = _codes(900)
    collector = CodeCollector(16, 2_000, "uint8")
    for start in range(0, 900, 64):
        collector.append(codes[:, start : start + 64])
    taken, digest = collector.take()
    assert isinstance(taken, np.ndarray) == (limit > 0)
    np.testing.assert_array_equal(np.asarray(taken), codes)
    assert digest == codes_digest(codes)


def test_a_file_disappears_with_its_object(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spool = _spool(_codes(100))
    descriptor = spool._file.fileno()
    assert list(tmp_path.iterdir()) == []
    del spool
    gc.collect()
    assert str(tmp_path) not in str(Path(f"/proc/self/fd/{descriptor}").resolve())


def test_other_slices_are_an_error():
    with pytest.raises(IndexError, match=r"codes\[:, start:stop\]"):
        _spool(_codes(10))[:2, 0:5]
