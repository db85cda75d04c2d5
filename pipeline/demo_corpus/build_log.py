"""The build log: a CSV file beside the audio that records what happened to every piece that was considered.

Imports nothing of the extra `demo`.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from stores.commit import write_bytes
from stores.errors import CorruptArtifact


@dataclass(frozen=True)
class BuildLogRow:
    """One piece. Rows are in the order in which the pieces were considered."""

    genre: str
    """Genre such as `chorale`."""
    slug: str
    """Short name such as `bwv66-6`. Genre and slug are the folder of the clips."""
    group: str
    """Name shared by pieces that must be in one split and are resampled together. Empty if the piece is not used."""
    split: str
    """`train`, `valid` or `test`. Empty if the piece is not used."""
    refusal: str
    """Reason why the piece is not used, or an empty string."""
    program: str
    """General MIDI program."""
    key: str
    """Key of the excerpt without transposition, or an empty string."""
    key_reason: str
    """Reason why there is no key, or an empty string."""


def write(path: Path, rows: Sequence[BuildLogRow]) -> None:
    """Write the build log, atomically."""
    text = io.StringIO()
    table = csv.DictWriter(text, [column.name for column in fields(BuildLogRow)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write_bytes(path, text.getvalue().encode())


def read(path: Path) -> list[BuildLogRow]:
    """Read the build log, or return no rows if the file does not exist.

    Raises:
        CorruptArtifact: if its columns are not the fields of `BuildLogRow`.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        columns = [column.name for column in fields(BuildLogRow)]
        if table.fieldnames != columns:
            raise CorruptArtifact(
                f"{path} has the columns {table.fieldnames}, but a build log has {columns}. Delete the file. The next "
                f"run writes it again and keeps the audio"
            )
        return [BuildLogRow(**values) for values in table]


def first_pieces(rows: Sequence[BuildLogRow], piece_count: int) -> list[BuildLogRow]:
    """Return the rows up to the used piece number `piece_count`, or all rows if fewer pieces are used."""
    used = 0
    for index, row in enumerate(rows):
        used += bool(row.split)
        if used == piece_count:
            return list(rows[: index + 1])
    return list(rows)


def summary_table(rows: Iterable[BuildLogRow]) -> str:
    """Return a table of pieces by genre and split, with counts of keys and of the reasons for missing ones."""
    rows = list(rows)
    used = [row for row in rows if row.split]
    lines = [f"{'pieces':<10}{'train':>12}{'valid':>12}{'test':>12}{'all':>12}   (in parentheses: with a key)"]
    for genre in [*dict.fromkeys(row.genre for row in used), "all"]:
        selected = [row for row in used if genre in (row.genre, "all")]
        cells = [_cell([row for row in selected if row.split == split]) for split in ("train", "valid", "test")]
        lines.append(f"{genre:<10}" + "".join(f"{cell:>12}" for cell in [*cells, _cell(selected)]))
    lines.append("no key:    " + _count_reasons(row.key_reason for row in used if not row.key))
    lines.append("not used:  " + _count_reasons(row.refusal for row in rows if not row.split))
    return "\n".join(lines)


def _cell(rows: Sequence[BuildLogRow]) -> str:
    return f"{len(rows)} ({sum(bool(row.key) for row in rows)})"


def _count_reasons(reasons: Iterable[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in Counter(reasons).most_common()) or "none"
