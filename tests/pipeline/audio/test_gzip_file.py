"""Random access to the content of a gzip file."""

from __future__ import annotations

import gzip
import random

import pytest

from pipeline.audio import gzip_file
from pipeline.audio.gzip_file import GzipFile, SeekPoints

CONTENT = random.Random(0).randbytes(1 << 20) + bytes(1 << 20)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A file of two gzip streams and padding, with a seek point every 64 KiB."""
    monkeypatch.setattr(gzip_file, "OUTPUT_BYTES", 1 << 14)
    file = tmp_path / "x.gz"
    file.write_bytes(gzip.compress(CONTENT[: 3 << 18]) + gzip.compress(CONTENT[3 << 18 :]) + bytes(512))
    return file


def _seek_points():
    return SeekPoints(spacing_bytes=1 << 16)


def _read(file, size):
    blocks = []
    while size and (block := file.read(size)):
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)


def test_the_content_is_read_in_any_order(path):
    seek_points = _seek_points()
    with GzipFile(path, seek_points) as file:
        for offset in (0, len(CONTENT) - 9, 5, 1 << 20, 777_777, 3, (3 << 18) - 2):
            assert file.seek(offset) == offset
            assert _read(file, 1000) == CONTENT[offset : offset + 1000]
            assert file.tell() == min(offset + 1000, len(CONTENT))
    assert len(seek_points.items) > 10


def test_a_second_reader_continues_at_a_seek_point(path, monkeypatch):
    seek_points = _seek_points()
    with GzipFile(path, seek_points) as file:
        file.seek(len(CONTENT))
    with GzipFile(path, seek_points) as file:
        taken = []
        monkeypatch.setattr(file, "_decompress", lambda: taken.append(1) or GzipFile._decompress(file))
        file.seek(1_000_000)
        assert _read(file, 10) == CONTENT[1_000_000:1_000_010]
    assert len(taken) < 10  # at most 64 KiB in blocks of 16 KiB


def test_too_many_seek_points_are_thinned(path, monkeypatch):
    monkeypatch.setattr(gzip_file, "MAX_SEEK_POINTS", 8)
    seek_points = _seek_points()
    with GzipFile(path, seek_points) as file:
        file.seek(len(CONTENT))
        file.seek(900_000)
        assert _read(file, 100) == CONTENT[900_000:900_100]
    assert len(seek_points.items) <= 8


def test_the_end_is_the_end(path):
    with GzipFile(path) as file:
        assert file.seek(len(CONTENT) + 5) == len(CONTENT)
        assert file.read(1) == b""


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 3], lambda b: b[:5000] + b"\xff" * 50 + b[5050:]])
def test_damage_is_an_error_and_not_the_end(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    with GzipFile(path) as file, pytest.raises(OSError, match=r"ends early|is damaged"):
        file.seek(len(CONTENT))


def test_content_that_expands_too_much_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(gzip_file, "MIN_CONTENT_BYTES", 1 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(8 << 20)))
    with GzipFile(tmp_path / "bomb.gz") as file, pytest.raises(OSError, match="too much for a file of this size"):
        file.seek(8 << 20)
