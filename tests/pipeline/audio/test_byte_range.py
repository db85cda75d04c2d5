"""A part of a file as a file of its own."""

from __future__ import annotations

import io

import pytest

from pipeline.audio.byte_range import ByteRange
from stores.errors import DecodeError


@pytest.fixture
def file(tmp_path):
    (tmp_path / "x").write_bytes(bytes(range(100)))
    with (tmp_path / "x").open("rb", buffering=0) as opened:
        yield opened


def test_only_the_bytes_of_the_part_are_read(file):
    part = ByteRange(file, 10, 30, lambda: None)
    assert part.read(5) == bytes(range(10, 15))
    assert (part.read(100), part.read(100), part.tell()) == (bytes(range(15, 30)), b"", 20)
    assert (part.seek(-3, io.SEEK_END), part.read(10)) == (17, bytes(range(27, 30)))
    assert (part.seek(2), part.seek(1, io.SEEK_CUR), part.read(1)) == (2, 3, bytes([13]))
    assert (part.seek(-9), part.seek(500), part.read(1)) == (0, 500, b"")


def test_a_part_behind_the_end_of_the_file_is_empty(file):
    assert ByteRange(file, 90, 200, lambda: None).read(500) == bytes(range(90, 100))
    assert ByteRange(file, 150, 200, lambda: None).read(5) == b""


def test_every_read_checks_the_deadline(file):
    def expire():
        raise DecodeError("timeout", "over")

    with pytest.raises(DecodeError, match="timeout"):
        ByteRange(file, 0, 100, expire).read(1)
