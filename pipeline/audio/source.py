"""Access to audio in a file, in a member of an archive, in a row of a Parquet file or in an object on remote storage.

Decoders get a path that they can open. The audio of a container or of a remote object is copied to a temporary file,
because decoders seek, and MP4 cannot be decoded from a pipe. The index of a container is kept in memory while its
members are read one after another.
"""

from __future__ import annotations

import bisect
import contextlib
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.audio import container
from pipeline.audio.gzip_file import GzipFile, SeekPoints
from pipeline.audio.remote import AudioPath, RemotePath
from pipeline.audio.tar import headers, is_recording, open_tar
from stores.errors import DecodeError

MAX_MEMBER_BYTES, BLOCK_BYTES = 4 << 30, 1 << 20
"""Largest recording that is copied to a temporary file (the limit of WAV), and the bytes of a copied block."""
MAX_OPEN_CONTAINERS = 4
"""Containers whose index a worker keeps. Its tasks mostly read a container from start to end."""
Version = tuple[int, int]
"""Size and time of change of a file, so that a changed file gets a new index."""


@contextlib.contextmanager
def open_audio(path: AudioPath, member: str = "") -> Iterator[Path]:
    """Yield the path of the audio, which is `path` itself or a temporary file with a copy of the audio.

    Args:
        path: an audio file, an archive (see `container`), a Parquet file with a column of audio that has a field
            `bytes`, or an audio file on remote storage.
        member: a name in the archive or a row number in the Parquet file, or empty for an audio file.

    Raises:
        DecodeError: `missing` if the file or the member does not exist, `unreadable` if the container is damaged,
            `too_long` if the audio has more than `MAX_MEMBER_BYTES`.
        MissingArtifact: the remote storage cannot be reached.
    """
    if not member and isinstance(path, Path):
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="myna-") as copy:
        for block in _remote_content(path) if isinstance(path, RemotePath) else _content(path, member):
            copy.write(block)
        copy.flush()
        yield Path(copy.name)


def is_parquet(name: str) -> bool:
    """Return whether the file called `name` is read as Parquet."""
    return container.kind(name) == "parquet"


def are_parquet(names: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return whether each of many names is that of a Parquet file, `[files]`."""
    lower = pc.utf8_lower(names)
    is_parquet_file: NDArray[np.bool_] = np.zeros(len(names), bool)
    for suffix in container.suffixes("parquet"):
        is_parquet_file |= pc.ends_with(lower, suffix).to_numpy()
    return is_parquet_file


def _remote_content(path: RemotePath) -> Iterator[bytes]:
    size_bytes = 0
    try:
        for block in path.download():
            size_bytes += len(block)  # not every storage states the size
            _require_size(size_bytes, path.name)
            yield block
    except OSError as error:
        raise DecodeError("missing", f"{path} cannot be read: {error}") from error


def _require_size(size_bytes: int, name: str) -> None:
    if size_bytes > MAX_MEMBER_BYTES:
        raise DecodeError("too_long", f"{name} has {size_bytes} bytes; at most {MAX_MEMBER_BYTES} are copied")


def _content(path: Path, member: str) -> Iterator[bytes]:
    version = _version(path)
    read = {"parquet": _row, "zip": _zip_member, "tar.gz": _gzip_member}.get(container.kind(path.name), _tar_member)
    try:
        yield from read(path, version, member)
    except (KeyError, IndexError, ValueError) as error:
        raise DecodeError("missing", f"{path.name} has no member {member!r}") from error
    except (tarfile.TarError, pa.ArrowException, OSError) as error:
        raise DecodeError("unreadable", f"{path.name}: {error}") from error


def _version(path: Path) -> Version:
    try:
        status = path.stat()
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    return status.st_size, status.st_mtime_ns


@lru_cache(MAX_OPEN_CONTAINERS)
def _members(path: Path, _version: Version, gzip: bool) -> tuple[dict[str, tuple[int, int]], SeekPoints]:
    """Return offset and size in bytes of each regular member of a tar, and the seek points of its gzip file.

    A later member replaces one of the same name. Of a damaged tar, the members before the damage are returned.
    """
    members: dict[str, tuple[int, int]] = {}
    seek_points = SeekPoints()
    with (
        open_tar(path, gzip, seek_points) as tar,
        contextlib.suppress(tarfile.ReadError, *((OSError,) if gzip else ())),
    ):
        for item in headers(tar):
            if is_recording(item):
                members[item.name] = (item.offset_data, item.size)
    return members, seek_points


def _tar_member(path: Path, version: Version, name: str) -> Iterator[bytes]:
    start, size = _members(path, version, False)[0][name]
    with path.open("rb") as file:
        file.seek(start)
        yield from _blocks(file.read, name, size)


def _gzip_member(path: Path, version: Version, name: str) -> Iterator[bytes]:
    members, seek_points = _members(path, version, True)
    start, size = members[name]
    file = _READERS.get((path, version), lambda: GzipFile(path, seek_points))
    if file.seek(start) < start:
        raise OSError(f"member {name!r} begins after the end")
    yield from _blocks(file.read, name, size)


def _blocks(read: Callable[[int], bytes | None], name: str, size: int) -> Iterator[bytes]:
    """Yield `size` bytes. A raw reader returns fewer bytes than it is asked for, and none at the end."""
    _require_size(size, name)
    remaining = size
    while remaining:
        if not (block := read(min(BLOCK_BYTES, remaining))):
            raise OSError(f"member {name!r} ends after {size - remaining} of {size} bytes")
        remaining -= len(block)
        yield block


def _zip_member(path: Path, version: Version, name: str) -> Iterator[bytes]:
    archive, files = _zip(path, version)
    item = files[name]
    try:
        with archive.open(item) as content:
            yield from _blocks(content.read, name, item.file_size)
    except container.ZIP_DAMAGE as error:
        raise OSError(f"member {name!r}: {container.first_line(error)}") from error


@lru_cache(MAX_OPEN_CONTAINERS)
def _zip(path: Path, _version: Version) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    try:
        archive = zipfile.ZipFile(path)
        return archive, container.zip_files(archive)
    except container.ZIP_DAMAGE as error:
        raise OSError(f"damaged zip: {container.first_line(error)}") from error


def _row(path: Path, version: Version, member: str) -> Iterator[bytes]:
    number = int(member)
    group, position = _locate_row(path, version, number)
    content = _READERS.get((path, version, group), lambda: _RowGroup(path, group)).audio(position)
    if not isinstance(content, bytes):
        raise DecodeError("no_audio", f"row {number} of {path.name} holds no audio")
    yield content


def _locate_row(path: Path, version: Version, number: int) -> tuple[int, int]:
    """Return the row group of a row, and the position of the row in the group."""
    starts = _row_group_starts(path, version)
    if not 0 <= number < starts[-1]:
        raise IndexError(number)
    group = bisect.bisect_right(starts, number) - 1
    return group, number - starts[group]


@lru_cache(MAX_OPEN_CONTAINERS)
def _row_group_starts(path: Path, _version: Version) -> list[int]:
    metadata = pq.read_metadata(path)
    return [0, *accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))]


class _RowGroup:
    """The audio of one row group, read row by row because a group can have gigabytes. Reading in order is fastest."""

    def __init__(self, path: Path, group: int) -> None:
        self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
        self._group = group
        self._column = f"{container.audio_column(self._file.schema_arrow)}.bytes"
        self._restart()

    def _restart(self) -> None:
        self._next = 0
        self._rows = self._file.iter_batches(1, row_groups=[self._group], columns=[self._column], use_threads=False)

    def audio(self, position: int) -> Any:
        """Return the bytes of the recording in the row at `position` of the group, or None."""
        if position < self._next:
            self._restart()
        skipped = position - self._next
        self._next = position + 1
        cell = next(islice(self._rows, skipped, None)).column(0)[0].as_py()
        return cell and cell["bytes"]


class _Readers(threading.local):
    """The reader that each thread used last. It continues where it stopped, and threads must not share its place."""

    def __init__(self) -> None:
        self._key: Any = None
        self._reader: Any = None

    def get(self, key: Any, build: Callable[[], Any]) -> Any:
        """Return the reader that was used last if it has this key, and otherwise a new one."""
        if self._key != key:
            self._key, self._reader = None, None  # closes the old file before another one is opened
            self._reader = build()
            self._key = key
        return self._reader


_READERS = _Readers()
