"""One row per clip: who it is, where its frames lie, and what became of it.

In memory a list of `ClipRow`; on disk Parquet. A clip's index is its row, and never changes.
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
    """Stable, 0 to N-1, equal to the row's position."""
    id: str
    """The dataset's own name for it."""
    source: str
    """File that its audio lies in, relative to the store's `root`, with `/`."""
    group: str
    """Piece, song or artist: never in two splits, resampled as one."""
    split: str
    """`train`, `valid`, `test` or empty."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Task to label."""
    region_start: int = 0
    """First frame of the region that its task owns."""
    region_stop: int = 0
    """One past the last frame of that region."""
    state: str = "planned"
    """`planned`, `written` or `refused`."""
    reason: str = ""
    """Class of refusal; empty unless refused."""
    detail: str = ""
    """The decoder's last words, or the numbers behind a refusal."""
    source_digest: str = ""
    """BLAKE2b-128 of the source file's bytes, hex."""
    source_rate_hz: int = 0
    """Sample rate before resampling."""
    decoder: str = ""
    """What decoded it."""
    start_frame: int = 0
    """First frame in `mel`."""
    frames: int = 0
    """Frames written; of a planned clip that did not fit, the frames that it needs."""
    bound_frames: int = 0
    """Frames that its region has room for: an upper bound from before it was decoded."""
    member: str = ""
    """Where in the file, if that is a container: the name in a tar, the row number in a Parquet file."""
    cut_start_seconds: float = 0.0
    """Where in the recording the clip starts."""
    cut_seconds: float = 0.0
    """Length that was cut out; 0 for all that follows the start."""
    silent: bool = False
    """No sample exceeds two steps of 16 bits; such clips are stored for benchmarks and refused otherwise."""
    codes_digest: str = ""
    """BLAKE2b-128 of what is stored, hex: `fingerprint.codes_digest`; empty unless written."""
    source_bytes: int = 0
    """Size of `source` when it was read."""
    source_mtime_ns: int = 0
    """When `source` was changed last, nanoseconds since 1970; with its size a first look whether it still is that."""


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
_SAID_BY_DATASET = (
    *("index", "id", "source", "group", "split", "labels"),
    *("member", "cut_start_seconds", "cut_seconds"),
)


def to_table(rows: Iterable[ClipRow]) -> pa.Table:
    """Arrow table of `rows`, columns as in `SCHEMA`."""
    rows = list(rows)
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in _NAMES}
    columns["labels"] = [sorted(labels.items()) for labels in columns["labels"]]
    return pa.table(columns, schema=SCHEMA)


def from_table(table: pa.Table) -> list[ClipRow]:
    """Rows of an Arrow table whose columns are those of `SCHEMA`.

    Raises:
        CorruptArtifact: if the columns are others.
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
    """Rows of a Parquet file.

    Raises:
        CorruptArtifact: if it is not Parquet, damaged, or not a manifest.
        OSError: from the file system.
    """
    content = in_memory(path)  # so that any OSError below is Arrow's word for damage
    try:
        return from_table(pq.read_table(content, page_checksum_verification=True))
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: text that is no UTF-8
        raise CorruptArtifact(f"{path} is not a readable Parquet file: {error}") from error


def in_memory(path: Path) -> pa.NativeFile:
    """A whole file, in Arrow's own memory.

    Python's bytes would be given back by a thread of Arrow's, some time later; where the interpreter has ended by then
    the process aborts (3 of 120 short scripts did).

    Raises:
        OSError: from the file system.
    """
    with pa.OSFile(str(path)) as file:
        return pa.BufferReader(file.read_buffer())


def as_unread(row: ClipRow) -> ClipRow:
    """`row` as it was before its recording was read, planned; it keeps its region until it gets another one."""
    said = {name: getattr(row, name) for name in _SAID_BY_DATASET}
    return ClipRow(**said, region_start=row.region_start, region_stop=row.region_stop)


def regions(rows: Iterable[ClipRow]) -> list[Region]:
    """The regions of the rows that are still planned, in order."""
    planned: dict[tuple[int, int], list[int]] = {}
    for row in rows:
        if row.state == "planned":
            planned.setdefault((row.region_start, row.region_stop), []).append(row.index)
    return [Region(start, stop, tuple(clips)) for (start, stop), clips in sorted(planned.items())]


def recordings(rows: Iterable[ClipRow]) -> Iterator[list[ClipRow]]:
    """The rows, cut where another recording begins: what one decoding serves."""
    for _, clips in groupby(rows, key=lambda row: (row.source, row.member)):
        yield list(clips)


def assign_regions(rows: Sequence[ClipRow], planned: Iterable[Region]) -> list[ClipRow]:
    """`rows` with the regions of `planned` written into their clips' rows."""
    assigned = list(rows)
    for region in planned:
        for clip in region.clips:
            assigned[clip] = replace(rows[clip], region_start=region.start_frame, region_stop=region.stop_frame)
    return assigned


def total_frames(rows: Iterable[ClipRow]) -> int:
    """Length of the frame axis that holds every region of `rows`."""
    return max((row.region_stop for row in rows), default=0)


def merge(planned: Sequence[ClipRow], done: Iterable[ClipRow]) -> list[ClipRow]:
    """`planned` with the rows of `done` put in their places by index.

    A row of `done` counts only for the region that it was planned with: what was planned anew since is left alone, so
    merging twice is merging once. What its dataset says of a clip is taken from `planned`, which is newer.
    """
    merged = list(planned)
    for row in done:
        plan = merged[row.index]
        if plan.state == "planned" and plan.region_start == row.region_start:
            merged[row.index] = replace(row, group=plan.group, split=plan.split, labels=plan.labels)
    return merged


def counts(rows: Iterable[ClipRow]) -> dict[str, int]:
    """Rows by state, refusals by `refused: REASON`."""
    return dict(Counter(f"refused: {r.reason}" if r.state == "refused" else r.state for r in rows))
