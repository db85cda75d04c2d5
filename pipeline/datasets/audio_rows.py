"""Rows of Parquet files that hold audio, as the Hugging Face hub stores it: a column with the bytes of each recording.

The column is a struct of `bytes` and `path`, called `audio` in most files. All other columns of text, numbers, classes
and lists of them become labels, and the rest are counted. The audio itself is not read.

The id of a row is its value in the id column: the one that the user names, or the first of `ID_COLUMNS` whose values
are all different and not empty, or the path of the audio, or otherwise the number of the row. The file name states the
split, as on the hub: `data/train-00000-of-00012.parquet`, or a folder called `train`. If all values of a column `split`
are names of splits, it states the split of each row instead.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio import container
from pipeline.audio.remote import RemotePath
from pipeline.datasets.audio_files import AudioFiles
from pipeline.datasets.label_table import SPLIT, LabelRow
from stores.errors import InvalidInput
from stores.json_codec import parse_json
from stores.labels import SEPARATOR, is_empty_word, tidy_tags

ID_COLUMNS = (
    *("id", "uid", "uuid", "key", "__key__", "track_id", "song_id", "clip_id", "audio_id", "sample_id", "video_id"),
    *("file", "file_name", "filename", "path", "file_id", "name", "ytid", "msd_id"),
)
"""Columns that may hold ids, in order of preference."""
EMPTY_CELLS = "cells with a word for no value, such as nan"
"""Description of words that are no label."""
MAX_TYPE_CHARACTERS = 60
"""Characters of the type of a column that a message shows. A nested type can have thousands."""
_SPLIT_OF_WORD = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class AudioRows:
    """All rows with audio below a folder."""

    locations: Mapping[str, tuple[Path, str]] = field(default_factory=dict)
    """File and number of the row, by id. The rows of a file are adjacent and in order."""
    orders: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Path of the file below the root and number of the row, by id."""
    labels: Mapping[str, LabelRow] = field(default_factory=dict)
    """Split and labels by id."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Counts of what was skipped, by description."""

    def order(self, name: str) -> tuple[str, int] | None:
        """Return what the row of this id is sorted by among files: path and number. None if it is not a row."""
        return self.orders.get(name)

    @property
    def names(self) -> Sequence[str]:
        """All ids."""
        return list(self.locations)


def read(files: AudioFiles, id_column: str = "") -> AudioRows:
    """Return the rows of the Parquet files of `files`. An id is the path of its file, `/`, and the value of its row.

    Raises:
        InvalidInput: a file has no column `id_column`, or its values are not all different and not empty.
    """
    locations: dict[str, tuple[Path, str]] = {}
    orders: dict[str, tuple[str, int]] = {}
    labels: dict[str, LabelRow] = {}
    counts: Counter[str] = Counter()
    for name in files.parquets:
        path = files.path(name)
        assert not isinstance(path, RemotePath), "Parquet files are searched in local folders only"
        try:
            rows = _rows(path, name, id_column, counts)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            counts[f"Parquet file not read: {name} ({_first_line(error)})"] = 1
            continue
        for number, (row_id, row) in enumerate(rows):
            locations[row_id], orders[row_id], labels[row_id] = (path, str(number)), (name, number), row
    return AudioRows(locations, orders, labels, counts)


def split_of(name: str) -> str:
    """Return the split that the name of a file states, or empty text."""
    base, folders = name.rpartition("/")[2], name.split("/")[:-1]
    first = _WORD.match(base)
    words = [first[0].lower() if first else "", *(folder.lower() for folder in reversed(folders))]
    return next((_SPLIT_OF_WORD[word] for word in words if word in _SPLIT_OF_WORD), "")


def _rows(path: Path, name: str, id_column: str, counts: Counter[str]) -> list[tuple[str, LabelRow]]:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        audio = container.audio_column(schema)
        wanted = [field.name for field in schema if field.name != audio and _is_read(schema, field)]
        _count_unread(schema, {audio, *wanted}, file.metadata.num_rows, counts)
        columns = file.read(columns=[*wanted, f"{audio}.path"] if _has_path(schema.field(audio).type) else wanted)
        rows = file.metadata.num_rows
    ids = _ids(columns, audio, rows, id_column, path)
    features = _features(schema)
    tasks = [task for task in wanted if task != ids.column]
    for task in tasks:
        _count_left_out(task, columns.column(task).to_pylist(), features.get(task, ()), counts)
    values = {task: _texts(columns.column(task), features.get(task, ())) for task in tasks}
    splits = _pop_splits(values) or [split_of(name)] * rows
    result = []
    for number in range(rows):
        cells = {task: column[number] for task, column in values.items()}
        kept = {task: cell for task, cell in cells.items() if not is_empty_word(cell)}
        result.append((f"{name}/{ids.values[number]}", LabelRow(splits[number], "", kept)))
    return result


def _pop_splits(values: dict[str, list[str]]) -> list[str]:
    """Remove the column of splits from `values` and return the split of each row, or nothing if there is none."""
    column = next((task for task in values if task.casefold() == SPLIT), None)
    words = [word.casefold() for word in values[column]] if column is not None else []
    named = [word for word in words if not is_empty_word(word)]
    if column is None or not named or not all(word in _SPLIT_OF_WORD for word in named):
        return []
    del values[column]
    return [_SPLIT_OF_WORD.get(word, "") for word in words]


@dataclass(frozen=True)
class _Ids:
    column: str
    values: Sequence[str]


def _ids(columns: pa.Table, audio: str, rows: int, id_column: str, path: Path) -> _Ids:
    if id_column:
        values = _distinct(columns, id_column)
        if values is None:
            raise InvalidInput(
                f"the values of the column {id_column!r} of {path} cannot be ids, because they are missing, empty or "
                f"not all different; its columns are {columns.column_names}"
            )
        return _Ids(id_column, values)
    by_lower_case = {name.lower(): name for name in columns.column_names}
    for candidate in ID_COLUMNS:
        if (column := by_lower_case.get(candidate)) and (values := _distinct(columns, column)):
            return _Ids(column, values)
    if audio in columns.column_names:
        paths = columns.column(audio).combine_chunks().field("path").to_pylist()
        if _are_ids(paths):
            return _Ids("", paths)
    return _Ids("", [str(number) for number in range(rows)])


def _distinct(columns: pa.Table, name: str) -> list[str] | None:
    values = columns.column(name).to_pylist() if name in columns.column_names else [None]
    return [str(value) for value in values] if _are_ids(values) else None


def _are_ids(values: Sequence[Any]) -> bool:
    is_plain = all(isinstance(value, str | int) and str(value).strip() for value in values)
    return is_plain and len({str(value) for value in values}) == len(values)


def _is_read(schema: pa.Schema, field: pa.Field) -> bool:
    """Return whether a column can be a label. Of columns with one name, it is not known which one is meant."""
    return schema.names.count(field.name) == 1 and _is_label(field.type)


def _count_unread(schema: pa.Schema, read: set[str], rows: int, counts: Counter[str]) -> None:
    """Count, by column, the files in which it is neither a label nor the audio, and the files without rows."""
    for name in sorted(set(schema.names) - read):
        counts[f"Parquet column not read: {name} ({_reason(schema, name)})"] += 1
    if not rows:
        counts["Parquet files without rows"] += 1


def _reason(schema: pa.Schema, name: str) -> str:
    if schema.names.count(name) > 1:
        return "several columns have this name"
    kind = schema.field(name).type
    is_audio = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    return "another column of audio" if is_audio else f"{str(kind)[:MAX_TYPE_CHARACTERS]} is no label"


def _is_label(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_label(kind.value_type) and not pa.types.is_list(kind.value_type)
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)
    return any(test(kind) for test in tests) or pa.types.is_boolean(kind) or pa.types.is_dictionary(kind)


def _has_path(kind: pa.DataType) -> bool:
    return bool(kind.get_field_index("path") >= 0)


def _features(schema: pa.Schema) -> dict[str, Sequence[str]]:
    """Return the names of classes by column, which the library `datasets` stores in the metadata of the schema."""
    content = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = parse_json(content)["info"]["features"]
        return {name: _class_names(feature) for name, feature in features.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _class_names(feature: Any) -> Sequence[str]:
    while isinstance(feature, list):
        feature = feature[0] if feature else {}
    inner = feature.get("feature") if isinstance(feature, dict) else None
    return _class_names(inner) if inner else tuple(map(str, (feature or {}).get("names") or ()))


def _texts(column: pa.ChunkedArray, names: Sequence[str]) -> list[str]:
    return [_text(value, names) for value in column.to_pylist()]


def _text(value: Any, names: Sequence[str]) -> str:
    """Return a value as a label: a class by its name, a list as tags."""
    if isinstance(value, list):
        return tidy_tags(SEPARATOR.join(_text(item, names).replace(SEPARATOR, "/") for item in value))
    if isinstance(value, int) and not isinstance(value, bool) and names:
        return names[value] if 0 <= value < len(names) else ""  # -1 stands for no class
    return "" if value is None else tidy_tags(str(value))


def _count_left_out(task: str, values: Sequence[Any], names: Sequence[str], counts: Counter[str]) -> None:
    """Count the values that are no label: numbers of classes without a name, and words for no value."""
    for value in values:
        if isinstance(value, list):
            _count_left_out(task, value, names, counts)
        elif isinstance(value, int) and not isinstance(value, bool) and names:
            if not -1 <= value < len(names):
                counts[f"values of {task} that name none of its classes (0 to {len(names) - 1})"] += 1
            elif value >= 0 and is_empty_word(names[value]):
                counts[EMPTY_CELLS] += 1
        elif value is not None and str(value).strip() and is_empty_word(str(value)):
            counts[EMPTY_CELLS] += 1


def _first_line(error: BaseException) -> str:
    return (next(iter(str(error).splitlines()), "") or type(error).__name__)[:200]
