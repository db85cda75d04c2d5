"""What became of every piece that was looked at: a CSV file beside the audio. Imports nothing of the extra `demo`."""

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
    """One piece, in the order in which pieces were judged."""

    genre: str
    """Such as `chorale`."""
    slug: str
    """Such as `bwv66-6`; with the genre the folder of its clips."""
    group: str
    """What must stay together when the corpus is divided or resampled; empty if it is not used."""
    split: str
    """`train`, `valid` or `test`; empty if it is not used."""
    refusal: str
    """Why it is not used, or empty."""
    program: str
    """General MIDI program."""
    key: str
    """Key of the untransposed excerpt, or empty."""
    key_reason: str
    """Why there is no key, or empty."""


def write(path: Path, rows: Sequence[BuildLogRow]) -> None:
    """Write the ledger, atomically."""
    text = io.StringIO()
    table = csv.DictWriter(text, [column.name for column in fields(BuildLogRow)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write_bytes(path, text.getvalue().encode())


def read(path: Path) -> list[BuildLogRow]:
    """Read the ledger; one that is not there has no rows.

    Raises:
        CorruptArtifact: if its columns are not those of `Row`.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        if table.fieldnames != [column.name for column in fields(BuildLogRow)]:
            raise CorruptArtifact(f"{path} has columns {table.fieldnames}; delete it, it is made again from the audio")
        return [BuildLogRow(**values) for values in table]


def first_used(rows: Sequence[BuildLogRow], pieces: int) -> list[BuildLogRow]:
    """The shortest beginning of the ledger that holds `pieces` used pieces, or all of it."""
    used = 0
    for index, row in enumerate(rows):
        used += bool(row.split)
        if used == pieces:
            return list(rows[: index + 1])
    return list(rows)


def summary(rows: Iterable[BuildLogRow]) -> str:
    """Pieces by genre and split, how many carry a key, and what happened to the others; a table to print."""
    rows = list(rows)
    used = [row for row in rows if row.split]
    lines = [f"{'pieces':<10}{'train':>12}{'valid':>12}{'test':>12}{'all':>12}   (of them with a key)"]
    for genre in [*dict.fromkeys(row.genre for row in used), "all"]:
        mine = [row for row in used if genre in (row.genre, "all")]
        cells = [_cell([row for row in mine if row.split == split]) for split in ("train", "valid", "test")]
        lines.append(f"{genre:<10}" + "".join(f"{cell:>12}" for cell in [*cells, _cell(mine)]))
    lines.append("no key:    " + _counts(row.key_reason for row in used if not row.key))
    lines.append("not used:  " + _counts(row.refusal for row in rows if not row.split))
    return "\n".join(lines)


def _cell(rows: Sequence[BuildLogRow]) -> str:
    return f"{len(rows)} ({sum(bool(row.key) for row in rows)})"


def _counts(reasons: Iterable[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in Counter(reasons).most_common()) or "none"
