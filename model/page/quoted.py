"""Scores that others published, shown beside ours. They are read from a CSV file with a source for each value.

    row,column,value,source
    Jukebox,gtzan/genre/accuracy,0.797,"JukeMIR (Castellon, Donahue, Liang 2021)"

A column is DATASET/TASK/METRIC as `model.probe` names them, or `average` over the paper's tasks, as published. A value
is a share (0.797, not 79.7). quoted.csv beside this file contains only values that were read in an available source.
`--quoted FILE` adds more.
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
_MAX_BYTES = 1_000_000
_MAX_CHARACTERS = 300
_MIN_VALUE = -10.0


@dataclass(frozen=True)
class Quote:
    """One published score."""

    row: str
    """Name of what was scored."""
    column: str
    """DATASET/TASK/METRIC, or `average`."""
    value: float
    """Value of the metric, at most 1."""
    source: str
    """Publication that the value was read in."""
    line: int = field(default=0, compare=False)
    """Line of the file, counted from 1."""


def packaged() -> tuple[Quote, ...]:
    """Return the quotes that come with this package."""
    text = (resources.files("model.page") / "quoted.csv").read_text("utf-8")
    return parse(text, "quoted.csv")


def read(path: Path) -> tuple[Quote, ...]:
    """Return the quotes in a file.

    Raises:
        MissingArtifact: the file does not exist.
        InvalidInput: a line is not a quote. The message names the line.
    """
    if not path.is_file():
        raise MissingArtifact(f"no quoted scores at {path}; give a CSV file with the columns {','.join(FIELDS)}")
    try:
        return parse(read_bounded(path, _MAX_BYTES).decode("utf-8-sig"), str(path))
    except (UnicodeDecodeError, CorruptArtifact) as error:
        raise InvalidInput(f"{path} is not a CSV file of quoted scores: {error}") from error


def parse(text: str, name: str) -> tuple[Quote, ...]:
    """Return the quotes in a CSV text.

    Args:
        text: content of the file.
        name: name of the file for errors.

    Raises:
        InvalidInput: a line is not a quote, or two lines give the same value.
    """
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if tuple(reader.fieldnames or ()) != FIELDS:
            raise InvalidInput(f"{name}: the first line is {reader.fieldnames}; it must be {','.join(FIELDS)}")
        quotes = [replace(_quote(line, f"{name}, line {reader.line_num}"), line=reader.line_num) for line in reader]
    except csv.Error as error:
        message = f"{name}, after line {reader.line_num}: {error}; put fields with commas or quotes into double quotes"
        raise InvalidInput(message) from error
    _require_distinct(quotes, name)
    return tuple(quotes)


def _quote(line: dict[str, str | None], place: str) -> Quote:
    cells = [line.get(field) for field in FIELDS]
    if None in line or not all(cells):
        raise InvalidInput(f"{place}: {list(line.values())}; every line needs {', '.join(FIELDS)}, none of them empty")
    row, column, value, source = (str(cell).strip() for cell in cells)
    for text in (row, column, source):
        if not text or len(text) > _MAX_CHARACTERS or not text.isprintable():
            raise InvalidInput(f"{place}: {text[:40]!r} must have 1 to {_MAX_CHARACTERS} printable characters")
    if column != AVERAGE and column.count("/") != 2:
        example = f"for example gtzan/genre/accuracy, or {AVERAGE}"
        raise InvalidInput(f"{place}: column {column!r} must be DATASET/TASK/METRIC, {example}")
    return Quote(row, column, _share(value, place), source)


def _share(value: str, place: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if not _MIN_VALUE <= share <= 1:
        raise InvalidInput(f"{place}: value {value[:40]!r} must be a share such as 0.797, at most 1")
    return share


def _require_distinct(quotes: Sequence[Quote], name: str) -> None:
    known: set[tuple[str, str]] = set()
    for quote in quotes:
        if (quote.row, quote.column) in known:
            raise InvalidInput(f"{name}: {quote.row} has two values of {quote.column}; keep one of them")
        known.add((quote.row, quote.column))
