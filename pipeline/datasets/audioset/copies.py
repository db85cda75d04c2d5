"""Copies of AudioSet's clips on this machine: audio files, members of archives, rows of Parquet files.

Only names are read: the headers of a tar, by seeking (about 20 us per member), and the column `video_id` of a Parquet
file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio import container
from pipeline.datasets import file_kinds
from pipeline.datasets.audioset.inventory import Inventory
from pipeline.datasets.audioset.names import ClipName, parse

UNNAMED = "audio not named by a YouTube id"
OTHER_COLUMNS = "Parquet files without the columns video_id and audio with bytes"
DAMAGED = "containers that cannot be read to their end"
COMPRESSED = "archives that are not read and must be unpacked first"
HDF5 = "HDF5 files, which are not read"
UNREADABLE = "folders that cannot be opened"

# Assumed size of a row of a Parquet file when copies are compared by size, because its true size would require reading
# the audio. One byte is more than an empty file and less than any other copy.
ROW_BYTES = 1


@dataclass(frozen=True, slots=True)
class ClipCopy:
    """One copy of one clip."""

    name: ClipName
    """Clip that the name of the file, member or row states."""
    path: str
    """File that holds the copy, as text, because there may be millions of copies."""
    member: str = ""
    """Name in the tar or row number in the Parquet file. Empty for an audio file."""
    known_bytes: int | None = None
    """Size, if the container states it. None for audio files. Their size is read only if a clip has several copies."""

    def size_bytes(self) -> int:
        """Return the size, or 0 if the file no longer exists."""
        if self.known_bytes is not None:
            return self.known_bytes
        try:
            return Path(self.path).stat().st_size
        except OSError:
            return 0


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file or folder that holds no copy of a clip, or that holds unusable data besides copies."""

    path: str
    """Path of the file or folder."""
    reason: str
    """One of the reasons of this module, by which skipped files are counted."""
    detail: str = ""
    """Description of the damage, for damaged containers."""


def find_copies(inventory: Inventory) -> Iterator[ClipCopy | SkippedFile]:
    """Yield all copies: audio files by path, then containers by path, with the members of each in file order."""
    for path in inventory.audio:
        yield _copy(path, path.rpartition("/")[2])
    readers = dict.fromkeys(inventory.archives, _members) | dict.fromkeys(inventory.parquets, _rows)
    for path, reader in sorted(readers.items()):
        yield from reader(path)
    yield from (SkippedFile(path, COMPRESSED) for path in inventory.compressed)
    yield from (SkippedFile(path, HDF5) for path in inventory.hdf5)
    yield from (SkippedFile(path, UNREADABLE) for path in inventory.unreadable)


def _copy(path: str, file_name: str, member: str = "", known_bytes: int | None = None) -> ClipCopy | SkippedFile:
    name = parse(file_kinds.without_suffix(file_name))
    return ClipCopy(name, path, member, known_bytes) if name else SkippedFile(path, UNNAMED)


def _members(path: str) -> Iterator[ClipCopy | SkippedFile]:
    members_read = 0
    try:
        for member in container.members(path):
            members_read += 1
            base = member.name.rpartition("/")[2]
            if file_kinds.kind(base) == "audio":
                yield _copy(path, base, member.name, member.size_bytes)
    except container.DamagedContainer as error:
        yield _damaged(path, error, members_read)


def _rows(path: str) -> Iterator[ClipCopy | SkippedFile]:
    row_numbers = count()
    try:
        with pq.ParquetFile(path) as file:
            if not _holds_audio(file.schema_arrow):
                yield SkippedFile(path, OTHER_COLUMNS)
                return
            for batch in file.iter_batches(columns=["video_id"]):
                for video_id, row in zip(batch.column(0).to_pylist(), row_numbers):  # noqa: B905 - numbers never end
                    yield _copy(path, str(video_id), str(row), ROW_BYTES)
    except (pa.ArrowException, OSError, ValueError) as error:
        yield _damaged(path, error, next(row_numbers))


def _holds_audio(schema: pa.Schema) -> bool:
    if not {"video_id", "audio"} <= set(schema.names):
        return False
    audio = schema.field("audio").type
    return bool(pa.types.is_struct(audio)) and audio.get_field_index("bytes") >= 0


def _damaged(path: str, error: BaseException, members_read: int) -> SkippedFile:
    message = next(iter(str(error).splitlines()), "") or type(error).__name__
    return SkippedFile(path, DAMAGED, f"{message[:200]}, after {members_read} members")
