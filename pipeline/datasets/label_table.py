"""A user's table of labels and splits: a CSV file with one row per audio file."""

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
    """The row of one file."""

    split: str
    """`train`, `valid`, `test`, or an empty string."""
    group: str
    """Group as written in the table. Empty if the file is a group of its own."""
    labels: Mapping[str, str]
    """Cells by column, without empty cells."""


@dataclass(frozen=True)
class LabelTable:
    """All rows of a table."""

    file: Path
    """Path of the table."""
    rows: Mapping[str, LabelRow]
    """Rows by path below the root, with `/` and with accents as in `normalize_accents`."""

    @classmethod
    def read(cls, file: Path) -> LabelTable:
        """Read a CSV file in UTF-8, with or without a byte-order mark. Its first line has the column names.

        The column `path` is required, `split` and `group` are optional, and every other column is a task.

        Raises:
            MissingArtifact: if the file cannot be opened.
            InvalidInput: if it is not such a table. The message names the line.
        """
        try:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                return cls(file, dict(_rows(file, csv.reader(lines, strict=True))))
        except OSError as error:
            raise MissingArtifact(f"{file} cannot be read ({error.strerror}); use --labels with a CSV file") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise InvalidInput(f"{file} is not a CSV table in UTF-8 ({error}); save it in this format") from error

    def row(self, name: str) -> LabelRow | None:
        """Return the row of the file `name`, with its accents encoded in either way, or None if there is no row."""
        return self.rows.get(normalize_accents(name))


def normalize_accents(name: str) -> str:
    """Return `name` with each accented letter as one character (NFC).

    macOS may write accented letters in file names as two characters, and spreadsheets never do.
    """
    return unicodedata.normalize("NFC", name)


def _rows(file: Path, lines: Iterator[list[str]]) -> Iterator[tuple[str, LabelRow]]:
    columns = _columns(file, next(lines, []))
    line_numbers: dict[str, int] = {}
    group_splits: dict[str, str] = {}
    for number, cells in enumerate(lines, 2):
        if not cells:
            continue
        path, row = _row(f"{file}, line {number}", columns, cells)
        if (first := line_numbers.setdefault(path, number)) != number:
            raise InvalidInput(
                f"{file}, line {number}: the path {path!r} is also in line {first}; keep only one of these lines"
            )
        if row.group and group_splits.setdefault(row.group, row.split) != row.split:
            raise InvalidInput(
                f"{file}, line {number}: group {row.group!r} is in the splits {group_splits[row.group]!r} and "
                f"{row.split!r}; put all files of a group into one split, or leave the column 'group' out"
            )
        yield path, row


def _columns(file: Path, header: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in header]
    if PATH not in columns or "" in columns or len(set(columns)) < len(columns):
        raise InvalidInput(
            f"{file}: the first line must have column names that are separated by commas, not empty and not repeated, "
            f"and one of them must be {PATH!r} (got {columns})"
        )
    return columns


def _row(location: str, columns: Sequence[str], line: Sequence[str]) -> tuple[str, LabelRow]:
    if len(line) != len(columns):
        raise InvalidInput(
            f"{location}: {len(line)} cells for {len(columns)} columns; put cells that contain a comma in quotes"
        )
    cells = dict(zip(columns, line, strict=True))
    path = normalize_accents(cells.pop(PATH))
    split, group = cells.pop(SPLIT, "").strip(), cells.pop(GROUP, "").strip()
    if not path:
        raise InvalidInput(f"{location}: the path is empty; every row needs the path of a file below --root")
    if split not in SPLITS:
        raise InvalidInput(f"{location}: the split must be one of {SPLITS} (got {split!r})")
    labels = {task: cell.strip() for task, cell in cells.items() if cell.strip()}
    return path, LabelRow(split, group, labels)
