"""A user's table of labels and splits: a CSV with one row per audio file."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.track import SPLITS
from stores.errors import InvalidInput, MissingArtifact

PATH, SPLIT, GROUP = "path", "split", "group"


@dataclass(frozen=True)
class LabelRow:
    """What the table says of one file."""

    split: str
    """`train`, `valid`, `test`, or empty."""
    group: str
    """As given; empty for a file that is a group of its own."""
    labels: Mapping[str, str]
    """Column to cell, without empty cells."""


@dataclass(frozen=True)
class LabelTable:
    """All rows, by path below the root with `/`."""

    file: Path
    """Where it was read."""
    rows: Mapping[str, LabelRow]
    """Path, composed (NFC) whatever the table had, to row."""

    @classmethod
    def read(cls, file: Path) -> LabelTable:
        """The table in `file`: UTF-8 with or without a byte-order mark, commas, the first line names the columns.

        `path` is needed; `split` and `group` are known; every other column is a task.

        Raises:
            MissingArtifact: the file cannot be opened.
            InvalidInput: it is not such a table; the message names the line.
        """
        try:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                return cls(file, dict(_rows(file, csv.reader(lines, strict=True))))
        except OSError as error:
            raise MissingArtifact(f"{file} cannot be read ({error.strerror}); --labels names a CSV file") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise InvalidInput(f"{file} is not a CSV table in UTF-8 ({error}); save it again as such") from error

    def row(self, name: str) -> LabelRow | None:
        """What the table says of the file of this name, in whichever way its accents are written; None for nothing."""
        return self.rows.get(composed(name))


def composed(name: str) -> str:
    """`name` with accents as one character (NFC): macOS may write file names with two, spreadsheets never do."""
    return unicodedata.normalize("NFC", name)


def _rows(file: Path, lines: Iterator[list[str]]) -> Iterator[tuple[str, LabelRow]]:
    columns = _columns(file, next(lines, []))
    lines_of: dict[str, int] = {}
    splits: dict[str, str] = {}
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        path, row = _row(f"{file}, line {number}", columns, line)
        if (first := lines_of.setdefault(path, number)) != number:
            raise InvalidInput(f"{file}, line {number}: {path!r} stands in line {first} too; keep one of them")
        if row.group and splits.setdefault(row.group, row.split) != row.split:
            raise InvalidInput(
                f"{file}, line {number}: group {row.group!r} stands in the splits {splits[row.group]!r} and "
                f"{row.split!r}; a group is what must not, so give it one or leave the column out"
            )
        yield path, row


def _columns(file: Path, header: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in header]
    if PATH not in columns or "" in columns or len(set(columns)) < len(columns):
        raise InvalidInput(
            f"{file}: its first line names the columns {columns}; needed are {PATH!r}, commas between, and no name "
            f"empty or twice"
        )
    return columns


def _row(where: str, columns: Sequence[str], line: Sequence[str]) -> tuple[str, LabelRow]:
    if len(line) != len(columns):
        raise InvalidInput(f"{where}: {len(line)} cells for {len(columns)} columns; quote cells that hold a comma")
    cells = dict(zip(columns, line, strict=True))
    path = composed(cells.pop(PATH))
    split, group = cells.pop(SPLIT, "").strip(), cells.pop(GROUP, "").strip()
    if not path:
        raise InvalidInput(f"{where}: the path is empty")
    if split not in SPLITS:
        raise InvalidInput(f"{where}: the split is {split!r}; use one of {SPLITS}")
    labels = {task: cell.strip() for task, cell in cells.items() if cell.strip()}
    return path, LabelRow(split, group, labels)
