"""A user's table of labels and splits: a CSV file with one row per recording."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.datasets.table_paths import normalize_accents
from pipeline.datasets.track import SPLITS
from stores.errors import InvalidInput, MissingArtifact
from stores.labels import is_empty_word, split_tags, tidy_tags

PATH, SPLIT, GROUP = "path", "split", "group"
_SPLIT_WORDS = frozenset({"train", "training", "valid", "validation", "val", "dev", "test", "testing", "eval"})


@dataclass(frozen=True)
class LabelRow:
    """The row of one recording."""

    split: str
    """`train`, `valid`, `test`, or an empty string."""
    group: str
    """Group as written in the table. Empty if the recording is a group of its own."""
    labels: Mapping[str, str]
    """Cells by column, without empty cells, as `stores.labels.tidy_tags` returns them."""
    line: int = 0
    """Number of the line in the file."""
    empty_words: int = 0
    """Number of cells with a word for no value, such as `nan`."""

    def says_the_same(self, other: LabelRow) -> bool:
        """Return whether both rows have the same split, group and labels."""
        return (self.split, self.group, self.labels) == (other.split, other.group, other.labels)


@dataclass(frozen=True)
class LabelTable:
    """All rows of a table."""

    file: Path
    """Path of the table."""
    rows: Mapping[str, LabelRow]
    """Rows by path below the root, as written, but with accents as in `normalize_accents`."""

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
                table = cls(file, dict(_rows(file, csv.reader(lines, strict=True))))
        except OSError as error:
            raise MissingArtifact(f"{file} cannot be read ({error.strerror}); use --labels with a CSV file") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise InvalidInput(f"{file} is not a CSV table in UTF-8 ({error}); save it in this format") from error
        _require_no_hidden_split(table)
        return table

    def empty_words(self) -> int:
        """Return the number of cells with a word for no value."""
        return sum(row.empty_words for row in self.rows.values())


def _rows(file: Path, lines: Iterator[list[str]]) -> Iterator[tuple[str, LabelRow]]:
    columns = _columns(file, next(lines, []))
    line_numbers: dict[str, int] = {}
    group_splits: dict[str, tuple[str, int]] = {}
    for number, cells in enumerate(lines, 2):
        if not cells:
            continue
        path, row = _row(f"{file}, line {number}", columns, cells)
        if (first := line_numbers.setdefault(path, number)) != number:
            raise InvalidInput(
                f"{file}, line {number}: the path {path!r} is also in line {first}; keep only one of these lines"
            )
        split, line = group_splits.setdefault(row.group, (row.split, number))
        if row.group and split != row.split:
            raise InvalidInput(
                f"{file}, line {number}: group {row.group!r} is in the splits {split!r} (line {line}) and "
                f"{row.split!r}; put all files of a group into one split, or leave the column 'group' out"
            )
        yield path, replace(row, line=number)


def _columns(file: Path, header: Sequence[str]) -> list[str]:
    """Return the names of the columns. Those of path, split and group are recognized in any case."""
    columns = [normalize_accents(name.strip()) for name in header]
    columns = [name.lower() if name.lower() in (PATH, SPLIT, GROUP) else name for name in columns]
    repeated = [name for name, count in Counter(name.casefold() for name in columns).items() if count > 1]
    if PATH not in columns or "" in columns or repeated:
        raise InvalidInput(
            f"{file}, line 1: the first line must have column names that are separated by commas, not empty and not "
            f"repeated (in any case), and one of them must be {PATH!r} (got {columns})"
        )
    return columns


def _row(location: str, columns: Sequence[str], line: Sequence[str]) -> tuple[str, LabelRow]:
    if len(line) != len(columns):
        raise InvalidInput(
            f"{location}: {len(line)} cells for {len(columns)} columns; put cells that contain a comma in quotes"
        )
    cells = dict(zip(columns, line, strict=True))
    path = normalize_accents(cells.pop(PATH))
    split, group = _value(cells.get(SPLIT, "")), normalize_accents(_value(cells.get(GROUP, "")))
    if not path.strip():
        raise InvalidInput(f"{location}: the path is empty; every row needs the path of a file below --root")
    if split not in SPLITS:
        raise InvalidInput(f"{location}: the split must be one of {SPLITS} (got {split!r})")
    tasks = {name: cell for name, cell in cells.items() if name not in (SPLIT, GROUP)}
    labels = {task: label for task, cell in tasks.items() if (label := tidy_tags(cell))}
    words = [word for cell in cells.values() for word in split_tags(cell) if word.strip()]
    return path, LabelRow(split, group, labels, empty_words=sum(map(is_empty_word, words)))


def _value(cell: str) -> str:
    """Return a cell without spaces around it, or empty text if it is a word for no value."""
    return "" if is_empty_word(cell) else cell.strip()


def _require_no_hidden_split(table: LabelTable) -> None:
    """Check that no column of labels holds splits, whose test clips would be used for training.

    Raises:
        InvalidInput: no row has a split, and a column holds nothing but names of splits.
    """
    if any(row.split for row in table.rows.values()):
        return
    for task in sorted({task for row in table.rows.values() for task in row.labels}):
        values = {row.labels[task].casefold() for row in table.rows.values() if task in row.labels}
        if len(values) > 1 and values <= _SPLIT_WORDS:
            raise InvalidInput(
                f"{table.file}, line 1: the column {task!r} holds splits ({', '.join(sorted(values))}); call it "
                f"{SPLIT!r}, with the values train, valid and test"
            )
