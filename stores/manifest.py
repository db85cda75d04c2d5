"""One row per clip: who it is, where its frames lie, and what became of it.

In memory a list of `ClipRow`; on disk Parquet. A clip's index is its row, and never changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stores.commit import committed
from stores.errors import CorruptArtefact

STATES = ("planned", "written", "refused")


@dataclass(frozen=True)
class ClipRow:
    """One clip of a mel store."""

    index: int
    """Stable, 0 to N-1, equal to the row's position."""
    id: str
    """The dataset's own name for it."""
    source: str
    """Where its audio lies, relative to the store's `root`, with `/`."""
    group: str
    """Piece, song or artist: never in two splits, resampled as one."""
    split: str
    """`train`, `valid`, `test` or empty."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Task to label."""
    bound_frames: int = 0
    """Upper bound of its frames that its region was planned with."""
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
    """Frames written."""


SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),
        ("labels", pa.map_(pa.string(), pa.string())),
        ("bound_frames", pa.int64()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("source_digest", pa.string()),
        ("source_rate_hz", pa.int64()),
        ("decoder", pa.string()),
        ("start_frame", pa.int64()),
        ("frames", pa.int64()),
    ]
)
_NAMES = tuple(f.name for f in fields(ClipRow))


def to_table(rows: Iterable[ClipRow]) -> pa.Table:
    """Arrow table of `rows`, columns as in `SCHEMA`."""
    rows = list(rows)
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in _NAMES}
    columns["labels"] = [sorted(labels.items()) for labels in columns["labels"]]
    return pa.table(columns, schema=SCHEMA)


def from_table(table: pa.Table) -> list[ClipRow]:
    """Rows of an Arrow table whose columns are those of `SCHEMA`.

    Raises:
        CorruptArtefact: if the columns are others.
    """
    if not table.schema.equals(SCHEMA):
        raise CorruptArtefact(f"manifest has columns {table.schema.names}; this version reads {SCHEMA.names}")
    rows = table.to_pylist()
    return [ClipRow(**{**row, "labels": dict(row["labels"])}) for row in rows]


def write(path: Path, rows: Iterable[ClipRow]) -> None:
    """Write `rows` to a Parquet file atomically."""
    with committed(path) as temporary:
        pq.write_table(to_table(rows), temporary, compression="zstd")


def read(path: Path) -> list[ClipRow]:
    """Rows of a Parquet file.

    Raises:
        CorruptArtefact: if it is not Parquet or not a manifest.
    """
    try:
        return from_table(pq.read_table(path))
    except pa.ArrowInvalid as error:
        raise CorruptArtefact(f"{path} is not a readable Parquet file: {error}") from error


def merge(planned: Sequence[ClipRow], done: Iterable[ClipRow]) -> list[ClipRow]:
    """`planned` with every row of `done` put in its place by index."""
    merged = list(planned)
    for row in done:
        merged[row.index] = row
    return merged


def counts(rows: Iterable[ClipRow]) -> dict[str, int]:
    """Rows by state, refusals by `refused: REASON`."""
    return dict(Counter(f"refused: {r.reason}" if r.state == "refused" else r.state for r in rows))
