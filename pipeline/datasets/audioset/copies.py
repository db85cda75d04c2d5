"""Copies of AudioSet's clips on this machine: audio files, members of plain tars, rows of Parquet files.

Only names are read: of a tar its headers, by seeking (about 20 us a member), of a Parquet file the column `video_id`.
"""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio.tar import opened_tar
from pipeline.datasets.audioset.inventory import Inventory, is_audio
from pipeline.datasets.audioset.names import ClipName, parse

UNNAMED = "audio not named by a YouTube id"
OTHER_COLUMNS = "Parquet files without the columns video_id and audio with bytes"
DAMAGED = "containers that cannot be read to their end"
PACKED = "compressed archives, which cannot be read at random; unpack them"
CLOSED = "folders that cannot be opened"

# What a row of a Parquet file counts for where copies are compared by size: its true size would cost reading the
# audio. One byte is more than an empty file and less than any other copy.
ROW_BYTES = 1

# What tarfile lets out for headers that are no headers, besides its own errors.
_TAR_DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, ArithmeticError, struct.error, RecursionError)
_TAR_BLOCK_BYTES = 512


@dataclass(frozen=True, slots=True)
class ClipCopy:
    """One copy of one clip."""

    name: ClipName
    """The clip, as the file, member or row is called."""
    path: str
    """The file that holds it; as text, because there may be millions."""
    member: str = ""
    """Name in the tar or row number in the Parquet file; empty for an audio file."""
    stated_bytes: int | None = None
    """Size where it was told on the way; None for audio files, which are asked only if there are several copies."""

    def size_bytes(self) -> int:
        """How large it is; 0 if the file has gone."""
        if self.stated_bytes is not None:
            return self.stated_bytes
        try:
            return Path(self.path).stat().st_size
        except OSError:
            return 0


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """Something that is no copy of a clip, or not only."""

    path: str
    """The file or folder."""
    why: str
    """One of this module's reasons, to count by."""
    detail: str = ""
    """What exactly is wrong, for damaged containers."""


def copies_in(inventory: Inventory) -> Iterator[ClipCopy | SkippedFile]:
    """All copies there are: audio files by path, then containers by path, the members of each in file order."""
    for path in inventory.audio:
        yield _copy(path, path.rpartition("/")[2])
    readers = dict.fromkeys(inventory.tars, _members) | dict.fromkeys(inventory.parquets, _rows)
    for path, reader in sorted(readers.items()):
        yield from reader(path)
    yield from (SkippedFile(path, PACKED) for path in inventory.packed)
    yield from (SkippedFile(path, CLOSED) for path in inventory.closed)


def _copy(path: str, file_name: str, member: str = "", stated_bytes: int | None = None) -> ClipCopy | SkippedFile:
    name = parse(file_name.rpartition(".")[0])
    return ClipCopy(name, path, member, stated_bytes) if name else SkippedFile(path, UNNAMED)


def _members(path: str) -> Iterator[ClipCopy | SkippedFile]:
    read = 0
    try:
        size_bytes = Path(path).stat().st_size
        with opened_tar(path) as tar:
            for member in _headers(tar):
                read += 1
                whole = member.offset_data + member.size <= size_bytes
                if whole and member.isreg() and not member.issparse() and is_audio(member.name):
                    yield _copy(path, member.name.rpartition("/")[2], member.name, member.size)
    except _TAR_DAMAGE as error:
        yield _damaged(path, error, read)


def _headers(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members of a tar, none of which is kept; tarfile's own loop ends without a word at a broken header."""
    end = 0
    while member := tar.next():
        tar.members.clear()  # type: ignore[attr-defined]
        if tar.offset <= end:
            raise tarfile.ReadError("a size is negative")  # would lead round in a circle
        end = tar.offset
        yield member
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if any(tar.fileobj.read(_TAR_BLOCK_BYTES)):
        raise tarfile.ReadError(f"no header at byte {tar.offset}")


def _rows(path: str) -> Iterator[ClipCopy | SkippedFile]:
    rows = count()
    try:
        with pq.ParquetFile(path) as file:
            if not _holds_audio(file.schema_arrow):
                yield SkippedFile(path, OTHER_COLUMNS)
                return
            for batch in file.iter_batches(columns=["video_id"]):
                for video_id, row in zip(batch.column(0).to_pylist(), rows):  # noqa: B905 - rows never end
                    yield _copy(path, f"{video_id}.", str(row), ROW_BYTES)
    except (pa.ArrowException, OSError, ValueError) as error:
        yield _damaged(path, error, next(rows))


def _holds_audio(schema: pa.Schema) -> bool:
    if not {"video_id", "audio"} <= set(schema.names):
        return False
    audio = schema.field("audio").type
    return bool(pa.types.is_struct(audio)) and audio.get_field_index("bytes") >= 0


def _damaged(path: str, error: BaseException, read: int) -> SkippedFile:
    what = next(iter(str(error).splitlines()), "") or type(error).__name__
    return SkippedFile(path, DAMAGED, f"{what[:200]}, after {read} members")
