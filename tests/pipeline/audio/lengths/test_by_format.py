"""Reading what a file states about its length ends in time, whatever the bytes of the file."""

from __future__ import annotations

import contextlib
import random
import time

import hostile_files
import pytest

from pipeline.audio.lengths.by_format import read_statement
from stores.errors import DecodeError

FORMATS = (".flac", ".mp3", ".ogg", ".wav", ".aiff", ".w64", ".au", ".wma")
FILLINGS = (
    *(b"\0", b"\xff", b"\xff\xf8", b"\xff\xf8\xc9\x08", b"\xff\xfb\x90\x64"),
    *(b"OggS", b"OggS\0\0", b"fmt \0\0\0\0"),
)
MAX_SECONDS = 0.5


class _Limit:
    """A check that fails once the limit is over, as that of a deadline does."""

    def __init__(self):
        self.end = time.monotonic() + MAX_SECONDS

    def __call__(self):
        if time.monotonic() > self.end:
            raise DecodeError("timeout", "no time remains")


def _seconds_to_read(path, content):
    path.write_bytes(content)
    start = time.thread_time()
    with contextlib.suppress(DecodeError):
        read_statement(path, _Limit())
    return time.thread_time() - start


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    files = hostile_files.originals(tmp_path_factory.mktemp("valid"))
    return [files[suffix] for suffix in FORMATS]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("number", range(len(FORMATS)), ids=FORMATS)
def test_every_beginning_of_a_file_is_read_at_once(valid, tmp_path, number):
    content = valid[number]
    lengths = [*range(300), *range(300, len(content), len(content) // 100)]
    assert max(_seconds_to_read(tmp_path / "x", content[:length]) for length in lengths) < MAX_SECONDS


@pytest.mark.timeout(60)
def test_changed_files_are_read_at_once(valid, tmp_path):
    rng = random.Random(0)
    assert max(_seconds_to_read(tmp_path / "x", hostile_files.mutate(valid, rng)) for _ in range(600)) < MAX_SECONDS


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", range(len(FORMATS)), ids=FORMATS)
def test_a_file_of_many_false_headers_is_read_in_time(valid, tmp_path, number):
    head = valid[number][:512]
    for filling in FILLINGS:
        assert _seconds_to_read(tmp_path / "x", head + filling * (1 << 22)) < 2 * MAX_SECONDS, filling
