"""The manifest of a mel store: one row per clip with its identity, the place of its frames and its state.

It is a Parquet file on disk. In memory it is a sequence of `ClipRow`, whose columns stay in Arrow. The index of a clip
is the number of its row. It changes only when `pipeline.ingest --prune` removes rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stores.arrow_columns import GROUP_ROWS, ParquetColumns
from stores.arrow_rows import ArrowRows
from stores.chunk_grid import Region
from stores.commit import atomic_write
from stores.errors import CorruptArtifact

STATES = ("planned", "written", "refused", "unlisted")
"""States of a clip. `refused` means rejected. `unlisted` means that the dataset no longer lists its file."""


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
    """State of the clip, one of `STATES`. An unlisted clip keeps everything else, and returns to its former state when
    it is listed again."""
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
    """True if no sample exceeds two steps of 16 bits. Silent clips are stored for benchmark sets only."""
    codes_digest: str = ""
    """Digest of the stored codes by `digest.codes_digest`. It is empty unless the clip was written."""
    source_bytes: int = 0
    """Size of `source` in bytes when it was read."""
    source_mtime_ns: int = 0
    """Time of the last change of `source`, in nanoseconds since 1970. It is compared before the digest."""
    warnings: str = ""
    """Names of warnings about the recording, joined by `|`, such as `short|clipped`."""
    expected_seconds: float = 0.0
    """Longest length that the header, the container or the dataset states, in seconds. It is 0 if none states one."""
    decoded_seconds: float = 0.0
    """Length of the whole recording as it was decoded, in seconds."""
    semitones: int = 0
    """Transposition of the recording in semitones, upward if positive. Its length does not change."""


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
        ("warnings", pa.string()),
        ("expected_seconds", pa.float64()),
        ("decoded_seconds", pa.float64()),
        ("semitones", pa.int64()),
    ]
)
SCHEMA_3 = pa.schema(list(SCHEMA)[: SCHEMA.get_field_index("warnings")])
"""Columns of a mel store of format version 3, and of the clips of a feature store."""
_DICTIONARIES = ("split", "state", "reason", "detail", "decoder", "member", "warnings")
"""Columns that have few different values in most manifests."""
_NAMES = tuple(f.name for f in fields(ClipRow))
_DATASET_FIELDS = (
    *("index", "id", "source", "group", "split", "labels"),
    *("member", "cut_start_seconds", "cut_seconds", "semitones"),
)


class ClipRows(ArrowRows[ClipRow]):
    """The rows of a manifest, or a selection of them: a sequence of `ClipRow` whose columns stay in Arrow."""

    schema = SCHEMA

    @classmethod
    def to_table(cls, rows: Sequence[ClipRow]) -> pa.Table:
        """Return rows as an Arrow table with the columns of `SCHEMA`."""
        columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in _NAMES}
        columns["labels"] = [sorted(labels.items()) for labels in columns["labels"]]
        return pa.table(columns, schema=SCHEMA)

    @classmethod
    def to_objects(cls, table: pa.Table) -> list[ClipRow]:
        """Return the rows of a table with the columns of `SCHEMA` as objects."""
        columns = {name: table.column(name).to_pylist() for name in _NAMES}
        columns["labels"] = [dict(labels) for labels in columns["labels"]]
        return [ClipRow(*values) for values in zip(*columns.values(), strict=True)]

    def in_state(self, state: str) -> NDArray[np.bool_]:
        """Return whether each row is in this state, `[rows]`."""
        is_in_state: NDArray[np.bool_] = self.codes("state", STATES) == STATES.index(state)
        return is_in_state

    def has_frames(self) -> NDArray[np.bool_]:
        """Return whether frames of each clip are in the store, `[rows]`. Those of unlisted clips are kept."""
        return self.in_state("written") | (self.in_state("unlisted") & (self.numbers("frames") > 0))

    def index_of(self, ids: pa.ChunkedArray | Iterable[str]) -> NDArray[np.int64]:
        """Return the position `[ids]` of the row of each id, or -1 if no row has the id."""
        wanted = ids if isinstance(ids, pa.ChunkedArray) else pa.array(ids, pa.string())
        matches = pc.index_in(wanted, value_set=self.column("id"))
        positions: NDArray[np.int64] = matches.fill_null(-1).to_numpy().astype(np.int64)
        return positions


def values_of(rows: Sequence[ClipRow], name: str) -> list[Any]:
    """Return the field `name` of each row, without objects of rows whose columns are in Arrow.

    Args:
        rows: the rows.
        name: a field other than `labels`, for which there is `label_values`.
    """
    return rows.column(name).to_pylist() if isinstance(rows, ClipRows) else [getattr(row, name) for row in rows]


def label_values(rows: Sequence[ClipRow], task: str) -> list[str | None]:
    """Return the label `task` of each row, or None where a row has none."""
    if not isinstance(rows, ClipRows):
        return [row.labels.get(task) for row in rows]
    values: list[str | None] = pc.map_lookup(rows.column("labels"), task, "last").to_pylist()
    return values


def distinct_labels(rows: Sequence[ClipRow]) -> set[tuple[str, str]]:
    """Return each different pair of a task and a label that some row has."""
    if not isinstance(rows, ClipRows):
        return {pair for row in rows for pair in row.labels.items()}
    tables = rows.batches(["labels"])
    return {pair for table in tables for labels in table.column("labels").to_pylist() for pair in labels}


def to_table(rows: Iterable[ClipRow]) -> pa.Table:
    """Return `rows` as an Arrow table with the columns of `SCHEMA`."""
    return ClipRows.of(rows).table()


def from_table(table: pa.Table) -> ClipRows:
    """Return the rows of an Arrow table with the columns of `SCHEMA`.

    Raises:
        CorruptArtifact: the table has other columns.
    """
    return ClipRows.from_table(table)


def write(path: Path, rows: Iterable[ClipRow], schema: pa.Schema = SCHEMA) -> None:
    """Write the columns of `schema` of `rows` to a Parquet file atomically. The same rows give the same bytes."""
    clips = ClipRows.of(rows)
    options = {"compression": "zstd", "write_page_checksum": True}
    with atomic_write(path) as temporary, pq.ParquetWriter(temporary, schema, **options) as writer:
        for start in range(0, len(clips), GROUP_ROWS):
            table = clips[start : start + GROUP_ROWS].table(schema.names)
            writer.write_table(table.combine_chunks(), GROUP_ROWS)


def read(path: Path, schema: pa.Schema = SCHEMA) -> ClipRows:
    """Return the rows of a Parquet file with the columns of `schema`, which are read when they are needed.

    Raises:
        CorruptArtifact: the file is not Parquet or not a manifest. If a page is damaged, this error is raised when the
            page is read.
        OSError: from the file system.
    """
    columns = ParquetColumns(path, schema, _DICTIONARIES)
    return ClipRows(columns) if schema.equals(SCHEMA) else ClipRows.from_table(add_missing_columns(columns.read()))


def add_missing_columns(table: pa.Table) -> pa.Table:
    """Return a table with the columns of an earlier version as one with those of `SCHEMA`, filled with defaults."""
    defaults = {f.name: f.default for f in fields(ClipRow)}
    for column in SCHEMA:
        if column.name not in table.column_names:
            table = table.append_column(column, pa.repeat(pa.scalar(defaults[column.name], column.type), len(table)))
    return table.select(SCHEMA.names).cast(SCHEMA)


def reset_to_planned(row: ClipRow) -> ClipRow:
    """Return `row` as planned, as it was before its recording was read. It keeps its region until it gets another."""
    values = {name: getattr(row, name) for name in _DATASET_FIELDS}
    return ClipRow(**values, region_start=row.region_start, region_stop=row.region_stop)


def planned_regions(rows: Iterable[ClipRow]) -> list[Region]:
    """Return the regions of the rows that are still planned, in order."""
    clips = ClipRows.of(rows)
    planned = clips.take(np.flatnonzero(clips.in_state("planned")))
    starts, stops, indices = (planned.numbers(name) for name in ("region_start", "region_stop", "index"))
    order = np.lexsort((stops, starts))
    is_new = np.diff(starts[order], prepend=-1).astype(bool) | np.diff(stops[order], prepend=-1).astype(bool)
    return [
        Region(int(starts[part[0]]), int(stops[part[0]]), tuple(indices[part].tolist()))
        for part in np.split(order, np.flatnonzero(is_new)[1:])
        if len(part)
    ]


def group_by_recording(rows: Iterable[ClipRow]) -> Iterator[list[ClipRow]]:
    """Yield lists of consecutive rows whose clips are in one recording, which is decoded once."""
    for _, clips in groupby(rows, key=lambda row: (row.source, row.member)):
        yield list(clips)


def assign_regions(rows: Iterable[ClipRow], planned: Iterable[Region]) -> ClipRows:
    """Return `rows`, where the clips of the regions `planned` have got these regions."""
    clips = ClipRows.of(rows)
    starts, stops = clips.numbers("region_start").copy(), clips.numbers("region_stop").copy()
    for region in planned:
        starts[list(region.clips)] = region.start_frame
        stops[list(region.clips)] = region.stop_frame
    return clips.with_columns(region_start=starts, region_stop=stops)


def total_frames(rows: Iterable[ClipRow]) -> int:
    """Return the length of the frame axis that all regions of `rows` need, in frames."""
    return int(ClipRows.of(rows).numbers("region_stop").max(initial=0))


def merge(planned: Iterable[ClipRow], done: Iterable[ClipRow]) -> ClipRows:
    """Return `planned`, where the rows of `done` replace the planned rows with the same index.

    A row of `done` is used only if the planned row still has the same region. A clip that was planned again later stays
    as it is, so merging twice gives the same result as merging once. The group, split and labels of a clip come from
    `planned`, which is newer. A clip that was planned and is no longer listed stays unlisted.

    Raises:
        CorruptArtifact: a row of `done` has an index that no planned row has.
    """
    before, after = ClipRows.of(planned), ClipRows.of(done)
    indices, firsts = np.unique(after.numbers("index"), return_index=True)
    if len(indices) and not 0 <= indices[0] <= indices[-1] < len(before):
        raise CorruptArtifact(f"a finished region holds clips {indices[0]} to {indices[-1]} of {len(before)} clips")
    fits = before.numbers("region_start")[indices] == after.numbers("region_start")[firsts]
    fits &= before.in_state("planned")[indices] | (
        was_planned(before)[indices] & ~after.in_state("planned")[firsts]  # unlisted, and decoded before that
    )
    if not fits.any():
        return before
    replacement = np.full(len(before), -1)
    replacement[indices[fits]] = firsts[fits]
    parts = (slice(start, start + GROUP_ROWS) for start in range(0, len(before), GROUP_ROWS))
    return ClipRows.from_table(
        pa.concat_tables([_merged_part(before[part], after, replacement[part]) for part in parts])
    )


def _merged_part(before: ClipRows, after: ClipRows, replacement: NDArray[np.int64]) -> pa.Table:
    """Return the rows of a part, where those of `after` at `replacement` `[rows]` replace them, unless it is -1."""
    replaced = np.flatnonzero(replacement >= 0)
    if not len(replaced):
        return before.table()
    merged = before.with_rows(replaced, after.take(replacement[replaced]))
    states = np.where(before.in_state("unlisted"), "unlisted", merged.column("state").to_numpy())
    newer = {name: before.column(name) for name in ("group", "split", "labels")}
    return merged.with_columns(**newer, state=states).table()


def was_planned(rows: ClipRows) -> NDArray[np.bool_]:
    """Return whether each row is unlisted and had not been decoded before that, `[rows]`."""
    has_frames: NDArray[np.bool_] = rows.numbers("frames") > 0
    return rows.in_state("unlisted") & ~has_frames & ~was_rejected(rows)


def was_rejected(rows: ClipRows) -> NDArray[np.bool_]:
    """Return whether each row is unlisted and had been rejected before that, `[rows]`."""
    has_reason: NDArray[np.bool_] = pc.not_equal(rows.column("reason"), "").to_numpy()
    return rows.in_state("unlisted") & has_reason


def count_states(rows: Iterable[ClipRow]) -> dict[str, int]:
    """Return the number of rows in each state. Rejected rows are counted under `refused: REASON`."""
    table = ClipRows.of(rows).table(["state", "reason"])
    pairs = zip(table.column("state").to_pylist(), table.column("reason").to_pylist(), strict=True)
    return dict(Counter(f"refused: {reason}" if state == "refused" else state for state, reason in pairs))


def clips_for_digest(rows: ClipRows, names: Sequence[str]) -> Iterator[list[list[Any] | None]]:
    """Yield batches of the values in the columns `names` of each clip, and None for a clip that is unlisted."""
    for table in rows.batches([*names, *{"state"}.difference(names)]):
        states = table.column("state").to_pylist()
        clips = zip(*(table.column(name).to_pylist() for name in names), strict=True)
        yield [None if state == "unlisted" else [*clip] for state, clip in zip(states, clips, strict=True)]
