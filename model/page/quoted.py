"""Scores that others published, quoted beside ours: a CSV of rows, columns, values and where each was read.

    row,column,value,source
    Jukebox,gtzan/genre/accuracy,0.797,"JukeMIR (Castellon, Donahue, Liang 2021)"

A column is DATASET/TASK/METRIC as `model.probe` names them, or `average` over the paper's tasks, as published; a value
is a share (0.797, not 79.7). quoted.csv beside this file holds only what was read in a source at hand; `--quoted FILE`
adds to it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from stores.commit import read_bounded
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

FIELDS = ("row", "column", "value", "source")
AVERAGE = "average"
_MOST_BYTES = 1_000_000
_MOST_LETTERS = 300


@dataclass(frozen=True)
class Quote:
    """One published score."""

    row: str
    """What was scored."""
    column: str
    """DATASET/TASK/METRIC, or `average`."""
    value: float
    """Of the metric, at most 1."""
    source: str
    """Where it was read."""
    line: int = field(default=0, compare=False)
    """Of its file, counted from 1."""


def own() -> tuple[Quote, ...]:
    """Those that come with the package."""
    text = (resources.files("model.page") / "quoted.csv").read_text("utf-8")
    return parsed(text, "quoted.csv")


def read(path: Path) -> tuple[Quote, ...]:
    """Those of a file.

    Raises:
        MissingArtifact: it is not there.
        InvalidInput: a line of it is none, which the message names.
    """
    if not path.is_file():
        raise MissingArtifact(f"no quoted scores at {path}; give a CSV with the columns {','.join(FIELDS)}")
    try:
        return parsed(read_bounded(path, _MOST_BYTES).decode("utf-8-sig"), str(path))
    except (UnicodeDecodeError, CorruptArtifact) as error:
        raise InvalidInput(f"{path} is no CSV of quoted scores: {error}") from error


def parsed(text: str, name: str) -> tuple[Quote, ...]:
    """The quotes of a CSV; `name` is what errors call it.

    Raises:
        InvalidInput: a line is none, or two give one value.
    """
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if tuple(reader.fieldnames or ()) != FIELDS:
            raise InvalidInput(f"{name}: the first line is {reader.fieldnames}; it must be {','.join(FIELDS)}")
        quotes = [replace(_quote(line, f"{name}, line {reader.line_num}"), line=reader.line_num) for line in reader]
    except csv.Error as error:
        raise InvalidInput(f"{name}, after line {reader.line_num}: {error}; quote fields as CSV does") from error
    _require_once(quotes, name)
    return tuple(quotes)


def _quote(line: dict[str, str | None], where: str) -> Quote:
    cells = [line.get(field) for field in FIELDS]
    if None in line or not all(cells):
        raise InvalidInput(f"{where}: {list(line.values())}; every line needs {', '.join(FIELDS)}, none of them empty")
    row, column, value, source = (str(cell).strip() for cell in cells)
    for text in (row, column, source):
        if not text or len(text) > _MOST_LETTERS or not text.isprintable():
            raise InvalidInput(f"{where}: {text[:40]!r} must be 1 to {_MOST_LETTERS} printable letters")
    if column != AVERAGE and column.count("/") != 2:
        example = f"e.g. gtzan/genre/accuracy, or {AVERAGE}"
        raise InvalidInput(f"{where}: column {column!r} must be DATASET/TASK/METRIC, {example}")
    return Quote(row, column, _share(value, where), source)


def _share(value: str, where: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not -10 <= number <= 1:
        raise InvalidInput(f"{where}: value {value[:40]!r} must be a share such as 0.797, at most 1")
    return number


def _require_once(quotes: Sequence[Quote], name: str) -> None:
    seen: set[tuple[str, str]] = set()
    for one in quotes:
        if (one.row, one.column) in seen:
            raise InvalidInput(f"{name}: {one.row} has two values of {one.column}; keep one")
        seen.add((one.row, one.column))
