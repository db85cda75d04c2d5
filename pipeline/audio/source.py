"""Where audio lies: a file, a member of a tar, or a row of a Parquet file; all become a path that decoders can open.

What lies in a container is copied to a temporary file, because MP4 cannot be decoded from a pipe and decoders seek. A
container stays open and indexed while its members are asked for one after another.
"""

from __future__ import annotations

import bisect
import contextlib
import tarfile
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio.tar import opened_tar
from stores.errors import DecodeError

PARQUET_SUFFIX = ".parquet"
MEMBER_BYTES, BLOCK_BYTES = 4 << 30, 1 << 20
"""A member of a tar is copied block by block, up to what a WAV can hold: it lies in temporary space meanwhile."""
OPEN_CONTAINERS = 4
"""Containers that a worker keeps indexed; its tasks mostly go through one from start to end."""


@contextlib.contextmanager
def opened(path: Path, member: str = "") -> Iterator[Path]:
    """Yield a path to the audio: `path` itself, or a temporary file with the bytes of `member`.

    Args:
        path: an audio file, an uncompressed tar, or a Parquet file with a column `audio` that holds `bytes`.
        member: empty for an audio file; a name in the tar; a row number in the Parquet file.

    Raises:
        DecodeError: `missing`, if the container or its member is not there; `unreadable`, if it is damaged.
    """
    if not member:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="myna-") as copy:
        for block in _content(path, member):
            copy.write(block)
        copy.flush()
        yield Path(copy.name)


def is_parquet(name: str) -> bool:
    """Whether a file of this name is read as Parquet."""
    return name.lower().endswith(PARQUET_SUFFIX)


def _content(path: Path, member: str) -> Iterator[bytes]:
    version = _version(path)
    try:
        if is_parquet(path.name):
            yield _row(path, version, int(member))
        else:
            yield from _member(path, _members(path, version), member)
    except (KeyError, IndexError, ValueError) as error:
        raise DecodeError("missing", f"{path.name} has no member {member!r}") from error
    except (tarfile.TarError, pa.ArrowException, OSError) as error:
        raise DecodeError("unreadable", f"{path.name}: {error}") from error


def _version(path: Path) -> tuple[int, int]:
    """Changes when the file does, so that no index outlives what it describes."""
    try:
        status = path.stat()
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    return status.st_size, status.st_mtime_ns


@lru_cache(OPEN_CONTAINERS)
def _members(path: Path, _version: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Where each regular member of a tar lies: first byte, bytes. Of two with one name the last counts, as in tar.

    A tar that breaks off still gives what stands before its damage.
    """
    found: dict[str, tuple[int, int]] = {}
    with opened_tar(path) as tar, contextlib.suppress(tarfile.ReadError):
        for item in tar:
            if item.isreg() and not item.issparse():
                found[item.name] = (item.offset_data, item.size)
    return found


def _member(path: Path, members: dict[str, tuple[int, int]], name: str) -> Iterator[bytes]:
    start, size = members[name]
    if size > MEMBER_BYTES:
        raise DecodeError("too_long", f"member {name!r} has {size} bytes; {MEMBER_BYTES} are the most that is copied")
    with path.open("rb") as file:
        file.seek(start)
        for place in range(0, size, BLOCK_BYTES):
            yield (block := file.read(min(BLOCK_BYTES, size - place)))
            if place + len(block) < min(place + BLOCK_BYTES, size):
                raise OSError(f"member {name!r} breaks off after {place + len(block)} of {size} bytes")


def _row(path: Path, version: tuple[int, int], number: int) -> bytes:
    group, position = _place(path, version, number)
    content = _row_group(path, version, group).audio(position)
    if not isinstance(content, bytes):
        raise DecodeError("no_audio", f"row {number} of {path.name} holds no audio")
    return content


def _place(path: Path, version: tuple[int, int], number: int) -> tuple[int, int]:
    """Row group of a row, and the row's number in it."""
    starts = _row_group_starts(path, version)
    if not 0 <= number < starts[-1]:
        raise IndexError(number)
    group = bisect.bisect_right(starts, number) - 1
    return group, number - starts[group]


@lru_cache(OPEN_CONTAINERS)
def _row_group_starts(path: Path, _version: tuple[int, int]) -> list[int]:
    metadata = pq.read_metadata(path)
    return [0, *accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))]


class _RowGroup:
    """The audio of one row group; what is asked for in order is read once, row by row: a group can hold gigabytes."""

    def __init__(self, path: Path, group: int) -> None:
        self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
        self._group = group
        self._start()

    def _start(self) -> None:
        self._read = 0
        self._rows = self._file.iter_batches(1, row_groups=[self._group], columns=["audio.bytes"], use_threads=False)

    def audio(self, position: int) -> Any:
        """Bytes of the recording in this row of the group, or None."""
        if position < self._read:
            self._start()
        skipped = position - self._read
        self._read = position + 1
        cell = next(islice(self._rows, skipped, None)).column(0)[0].as_py()
        return cell and cell["bytes"]


@lru_cache(1)
def _row_group(path: Path, _version: tuple[int, int], group: int) -> _RowGroup:
    return _RowGroup(path, group)
