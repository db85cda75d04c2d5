"""Access to audio in a file, in a member of a tar or in a row of a Parquet file, as a path that decoders can open.

The audio of a container is copied to a temporary file, because decoders seek, and MP4 cannot be decoded from a pipe.
The index of a container is kept in memory while its members are read one after another.
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

from pipeline.audio.tar import open_tar
from stores.errors import DecodeError

PARQUET_SUFFIX = ".parquet"
MAX_MEMBER_BYTES, BLOCK_BYTES = 4 << 30, 1 << 20
"""Largest member of a tar that is copied to a temporary file (the limit of WAV), and the bytes of a copied block."""
MAX_OPEN_CONTAINERS = 4
"""Containers whose index a worker keeps. Its tasks mostly read a container from start to end."""


@contextlib.contextmanager
def open_audio(path: Path, member: str = "") -> Iterator[Path]:
    """Yield the path of the audio, which is `path` itself or a temporary file with the bytes of `member`.

    Args:
        path: an audio file, an uncompressed tar, or a Parquet file with a column `audio` that has a field `bytes`.
        member: a name in the tar or a row number in the Parquet file, or empty for an audio file.

    Raises:
        DecodeError: `missing` if the container or the member does not exist, `unreadable` if the container is damaged.
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
    """Return whether the file called `name` is read as Parquet."""
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
    """Return size and time of change of the file, so that a changed file gets a new index."""
    try:
        status = path.stat()
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    return status.st_size, status.st_mtime_ns


@lru_cache(MAX_OPEN_CONTAINERS)
def _members(path: Path, _version: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Return offset and size in bytes of each regular member of a tar. A later member replaces one of the same name.

    Of a damaged tar, the members before the damage are returned.
    """
    members: dict[str, tuple[int, int]] = {}
    with open_tar(path) as tar, contextlib.suppress(tarfile.ReadError):
        for item in tar:
            if item.isreg() and not item.issparse():
                members[item.name] = (item.offset_data, item.size)
    return members


def _member(path: Path, members: dict[str, tuple[int, int]], name: str) -> Iterator[bytes]:
    start, size = members[name]
    if size > MAX_MEMBER_BYTES:
        raise DecodeError("too_long", f"member {name!r} has {size} bytes; at most {MAX_MEMBER_BYTES} are copied")
    with path.open("rb") as file:
        file.seek(start)
        for offset in range(0, size, BLOCK_BYTES):
            yield (block := file.read(min(BLOCK_BYTES, size - offset)))
            if offset + len(block) < min(offset + BLOCK_BYTES, size):
                raise OSError(f"member {name!r} ends after {offset + len(block)} of {size} bytes")


def _row(path: Path, version: tuple[int, int], number: int) -> bytes:
    group, position = _locate_row(path, version, number)
    content = _row_group(path, version, group).audio(position)
    if not isinstance(content, bytes):
        raise DecodeError("no_audio", f"row {number} of {path.name} holds no audio")
    return content


def _locate_row(path: Path, version: tuple[int, int], number: int) -> tuple[int, int]:
    """Return the row group of a row, and the position of the row in the group."""
    starts = _row_group_starts(path, version)
    if not 0 <= number < starts[-1]:
        raise IndexError(number)
    group = bisect.bisect_right(starts, number) - 1
    return group, number - starts[group]


@lru_cache(MAX_OPEN_CONTAINERS)
def _row_group_starts(path: Path, _version: tuple[int, int]) -> list[int]:
    metadata = pq.read_metadata(path)
    return [0, *accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))]


class _RowGroup:
    """The audio of one row group, read row by row because a group can have gigabytes. Reading in order is fastest."""

    def __init__(self, path: Path, group: int) -> None:
        self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
        self._group = group
        self._restart()

    def _restart(self) -> None:
        self._next = 0
        self._rows = self._file.iter_batches(1, row_groups=[self._group], columns=["audio.bytes"], use_threads=False)

    def audio(self, position: int) -> Any:
        """Return the bytes of the recording in the row at `position` of the group, or None."""
        if position < self._next:
            self._restart()
        skipped = position - self._next
        self._next = position + 1
        cell = next(islice(self._rows, skipped, None)).column(0)[0].as_py()
        return cell and cell["bytes"]


@lru_cache(1)
def _row_group(path: Path, _version: tuple[int, int], group: int) -> _RowGroup:
    return _RowGroup(path, group)
