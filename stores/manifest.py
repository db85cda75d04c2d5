"""The manifest of a mel store: one row per clip with its identity, the place of its frames and its state.

It is a list of `ClipRow` in memory and a Parquet file on disk. The index of a clip is the number of its row and never
changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stores.chunk_grid import Region
from stores.commit import atomic_write
from stores.errors import CorruptArtifact

STATES = ("planned", "written", "refused")


@dataclass(frozen=True)
class ClipRow:
    """One clip of a mel store."""

    index: int
    """Stable index, 0 to N-1, equal to the position of the row."""
    id: str
    """Name of the clip in the dataset."""
    source: str
    """Path of the audio file or container, relative to the `root` of the store, with `/`."""
    group: str
    """Piece, song or artist. A group is never in two splits, and its clips are resampled together."""
    split: str
    """Split of the clip: `train`, `valid`, `test` or empty."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Label for each task."""
    region_start: int = 0
    """First frame of the region of the clip."""
    region_stop: int = 0
    """Frame after the last frame of that region."""
    state: str = "planned"
    """State of the clip: `planned`, `written` or `refused` (rejected)."""
    reason: str = ""
    """Rejection reason, one of `REJECTION_REASONS`. It is empty unless the clip was rejected."""
    detail: str = ""
    """Last messages of the decoder, or the numbers that led to a rejection."""
    source_digest: str = ""
    """BLAKE2b-128 of the bytes of the source file, hex."""
    source_rate_hz: int = 0
    """Sample rate of the source in Hz, before resampling."""
    decoder: str = ""
    """Name and version of the decoder."""
    start_frame: int = 0
    """First frame of the clip in the array `mel`."""
    frames: int = 0
    """Number of frames that were written. If a planned clip did not fit into its region, the number that it needs."""
    bound_frames: int = 0
    """Number of frames that its region reserves for the clip, an upper bound from before it was decoded."""
    member: str = ""
    """Place of the audio in a container: the name in a tar, or the row number in a Parquet file."""
    cut_start_seconds: float = 0.0
    """Start of the clip in the recording, in seconds."""
    cut_seconds: float = 0.0
    """Length of the clip in seconds. If it is 0, the clip lasts until the end of the recording."""
    silent: bool = False
    """Whether no sample exceeds two steps of 16 bits. Silent clips are stored for benchmark sets only."""
    codes_digest: str = ""
    """Digest of the stored codes by `digest.codes_digest`. It is empty unless the clip was written."""
    source_bytes: int = 0
    """Size of `source` in bytes when it was read."""
    source_mtime_ns: int = 0
    """Time of the last change of `source`, in nanoseconds since 1970. It is compared before the digest."""


SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),
        ("labels", pa.map_(pa.string(), pa.string())),
        ("region_start", pa.int64()),
        ("region_stop", pa.int64()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("source_digest", pa.string()),
        ("source_rate_hz", pa.int64()),
        ("decoder", pa.string()),
        ("start_frame", pa.int64()),
        ("frames", pa.int64()),
        ("bound_frames", pa.int64()),
        ("member", pa.string()),
        ("cut_start_seconds", pa.float64()),
        ("cut_seconds", pa.float64()),
        ("silent", pa.bool_()),
        ("codes_digest", pa.string()),
        ("source_bytes", pa.int64()),
        ("source_mtime_ns", pa.int64()),
    ]
)
_NAMES = tuple(f.name for f in fields(ClipRow))
_DATASET_FIELDS = (
    *("index", "id", "source", "group", "split", "labels"),
    *("member", "cut_start_seconds", "cut_seconds"),
)


def to_table(rows: Iterable[ClipRow]) -> pa.Table:
    """Return `rows` as an Arrow table with the columns of `SCHEMA`."""
    rows = list(rows)
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in _NAMES}
    columns["labels"] = [sorted(labels.items()) for labels in columns["labels"]]
    return pa.table(columns, schema=SCHEMA)


def from_table(table: pa.Table) -> list[ClipRow]:
    """Return the rows of an Arrow table with the columns of `SCHEMA`.

    Raises:
        CorruptArtifact: the table has other columns.
    """
    if not table.schema.equals(SCHEMA):
        raise CorruptArtifact(f"manifest has columns {table.schema.names}; this version reads {SCHEMA.names}")
    rows = table.to_pylist()
    return [ClipRow(**{**row, "labels": dict(row["labels"])}) for row in rows]


def write(path: Path, rows: Iterable[ClipRow]) -> None:
    """Write `rows` to a Parquet file atomically."""
    with atomic_write(path) as temporary:
        pq.write_table(to_table(rows), temporary, compression="zstd", write_page_checksum=True)


def read(path: Path) -> list[ClipRow]:
    """Return the rows of a Parquet file.

    Raises:
        CorruptArtifact: the file is not Parquet, is damaged, or is not a manifest.
        OSError: from the file system.
    """
    content = read_buffer(path)  # so that an OSError below comes from Arrow and means damage
    try:
        return from_table(pq.read_table(content, page_checksum_verification=True))
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: text that is not UTF-8
        raise CorruptArtifact(f"{path} is not a readable Parquet file: {error}") from error


def read_buffer(path: Path) -> pa.NativeFile:
    """Return the content of a file in memory that Arrow owns.

    With Python bytes, a thread of Arrow would release them some time later. If the interpreter has ended by then, the
    process aborts (3 of 120 short scripts did).

    Raises:
        OSError: from the file system.
    """
    with pa.OSFile(str(path)) as file:
        return pa.BufferReader(file.read_buffer())


def reset_to_planned(row: ClipRow) -> ClipRow:
    """Return `row` as planned, as it was before its recording was read. It keeps its region until it gets another."""
    values = {name: getattr(row, name) for name in _DATASET_FIELDS}
    return ClipRow(**values, region_start=row.region_start, region_stop=row.region_stop)


def planned_regions(rows: Iterable[ClipRow]) -> list[Region]:
    """Return the regions of the rows that are still planned, in order."""
    planned: dict[tuple[int, int], list[int]] = {}
    for row in rows:
        if row.state == "planned":
            planned.setdefault((row.region_start, row.region_stop), []).append(row.index)
    return [Region(start, stop, tuple(clips)) for (start, stop), clips in sorted(planned.items())]


def group_by_recording(rows: Iterable[ClipRow]) -> Iterator[list[ClipRow]]:
    """Yield lists of consecutive rows whose clips are in the same recording, so that it is decoded once."""
    for _, clips in groupby(rows, key=lambda row: (row.source, row.member)):
        yield list(clips)


def assign_regions(rows: Sequence[ClipRow], planned: Iterable[Region]) -> list[ClipRow]:
    """Return `rows`, where the clips of the regions `planned` have got these regions."""
    assigned = list(rows)
    for region in planned:
        for clip in region.clips:
            assigned[clip] = replace(rows[clip], region_start=region.start_frame, region_stop=region.stop_frame)
    return assigned


def total_frames(rows: Iterable[ClipRow]) -> int:
    """Return the length of the frame axis that all regions of `rows` need, in frames."""
    return max((row.region_stop for row in rows), default=0)


def merge(planned: Sequence[ClipRow], done: Iterable[ClipRow]) -> list[ClipRow]:
    """Return `planned`, where the rows of `done` replace the planned rows with the same index.

    A row of `done` is used only if the planned row still has the same region. A clip that was planned again later stays
    as it is, so merging twice gives the same result as merging once. The group, split and labels of a clip come from
    `planned`, which is newer.
    """
    merged = list(planned)
    for row in done:
        plan = merged[row.index]
        if plan.state == "planned" and plan.region_start == row.region_start:
            merged[row.index] = replace(row, group=plan.group, split=plan.split, labels=plan.labels)
    return merged


def count_states(rows: Iterable[ClipRow]) -> dict[str, int]:
    """Return the number of rows in each state. Rejected rows are counted under `refused: REASON`."""
    return dict(Counter(f"refused: {r.reason}" if r.state == "refused" else r.state for r in rows))
