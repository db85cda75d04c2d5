"""Columns in Arrow: a table in memory, or a Parquet file whose columns are read when they are needed.

Both give their rows in groups, so that a reader of all rows needs the memory of one group.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stores.errors import CorruptArtifact

GROUP_ROWS = 65_536
"""Rows of a group, which is a row group of a Parquet file that this package writes."""


MAX_KEPT_GROUPS = 8
"""Largest number of groups that a file keeps in memory, about 25 MB each."""


class Columns(Protocol):
    """Columns of equal length."""

    starts: NDArray[np.int64]
    """First row of each group, and the number of all rows."""

    def group(self, number: int, names: Sequence[str] | None = None, *, keep: bool = False) -> pa.Table:
        """Return the rows from `starts[number]` to `starts[number + 1]`, with the columns `names` or all.

        Args:
            number: number of the group.
            names: columns to read.
            keep: keep the whole group in memory, because single rows of it will be needed again.
        """

    def read(self, names: Sequence[str] | None = None) -> pa.Table:
        """Return all rows, with the columns `names` or all."""

    def verify(self) -> None:
        """Read everything once without keeping it, so that damage is an error now and not later."""


class ColumnCache:
    """Columns as arrays of NumPy, which are kept once they were read."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._arrays: dict[str, NDArray[Any]] = {}

    def numbers(self, name: str) -> NDArray[Any]:
        """Return a column of numbers `[rows]`."""
        if name not in self._arrays:
            self._arrays[name] = self._columns.read([name]).column(name).to_numpy()
        return self._arrays[name]

    def codes(self, name: str, words: Sequence[str]) -> NDArray[np.int8]:
        """Return the position in `words` of each value of a text column `[rows]`, or -1 for any other value."""
        if name not in self._arrays:
            chunks = self._columns.read([name]).column(name).chunks
            codes = [_codes(chunk, words) for chunk in chunks]
            self._arrays[name] = np.concatenate(codes) if codes else np.zeros(0, np.int8)
        return self._arrays[name]


def _codes(values: pa.Array, words: Sequence[str]) -> NDArray[np.int8]:
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    known = [words.index(word) if word in words else -1 for word in encoded.dictionary.to_pylist()]
    codes: NDArray[np.int8] = np.array(known, np.int8)[encoded.indices.to_numpy()]
    return codes


class TableColumns:
    """The columns of a table in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.starts = np.append(np.arange(0, table.num_rows, GROUP_ROWS), table.num_rows)

    def group(self, number: int, names: Sequence[str] | None = None, *, keep: bool = False) -> pa.Table:
        """Return the rows of a group, with the columns `names` or all."""
        del keep  # it is in memory already
        return self.read(names).slice(self.starts[number], GROUP_ROWS)

    def read(self, names: Sequence[str] | None = None) -> pa.Table:
        """Return all rows, with the columns `names` or all."""
        return self._table if names is None else self._table.select(names)

    def verify(self) -> None:
        """Do nothing, because a table in memory has been read."""


class ParquetColumns:
    """The columns of a Parquet file, whose pages are compared with their checksums when they are read.

    The file is read and not mapped into memory. A mapped file that another program cuts short would end this process
    by a signal, and the pages of the map would count as its memory.
    """

    def __init__(self, path: Path, schema: pa.Schema, dictionaries: Sequence[str] = ()) -> None:
        """Open a file and check its columns.

        Args:
            path: the file, of which the present version is read even if it is replaced later.
            schema: the columns that it must have.
            dictionaries: text columns of few different values, which take less memory as dictionaries.

        Raises:
            CorruptArtifact: the file is not Parquet, or has other columns.
            OSError: from the file system.
        """
        self._path = path
        self._lock = threading.Lock()
        self._kept: dict[int, pa.Table] = {}
        encoded = [name for name in dictionaries if name in schema.names]
        options = {"page_checksum_verification": True, "pre_buffer": False, "read_dictionary": encoded}
        self._file, self.starts = self._run(lambda: _open(path, options))
        require_columns(plain_schema(self._file.schema_arrow), schema, str(path))

    def group(self, number: int, names: Sequence[str] | None = None, *, keep: bool = False) -> pa.Table:
        """Return the rows of a group, with the columns `names` or all.

        Raises:
            CorruptArtifact: a page is damaged, or a cell is empty.
        """
        if keep and number not in self._kept:
            if len(self._kept) >= MAX_KEPT_GROUPS:
                del self._kept[next(iter(self._kept))]  # the one that was read first
            self._kept[number] = self._checked(lambda: self._file.read_row_group(number))
        if (table := self._kept.get(number)) is not None:
            return table if names is None else table.select(names)
        return self._checked(lambda: self._file.read_row_group(number, names))

    def read(self, names: Sequence[str] | None = None) -> pa.Table:
        """Return all rows, with the columns `names` or all.

        Raises:
            CorruptArtifact: a page is damaged, or a cell is empty.
        """
        table = self._checked(lambda: self._file.read(names))
        if table.num_rows != self.starts[-1]:
            raise CorruptArtifact(f"{self._path} has {table.num_rows} rows, but states {self.starts[-1]}")
        return table

    def verify(self) -> None:
        """Read everything once without keeping it.

        Raises:
            CorruptArtifact: a page is damaged, or a cell is empty.
        """
        for number in range(len(self.starts) - 1):
            self.group(number)

    def _checked(self, read: Callable[[], pa.Table]) -> pa.Table:
        table = self._run(read)
        if empty := [name for name in table.column_names if table.column(name).null_count]:
            raise CorruptArtifact(f"{self._path} has empty cells in {', '.join(empty)}")
        return table

    def _run(self, action: Callable[[], Any]) -> Any:
        try:
            with self._lock:
                return action()
        except KeyError as error:
            raise CorruptArtifact(f"{self._path} has no column {error.args[0].decode()!r}") from error
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: text that is not UTF-8
            if isinstance(error, OSError) and error.errno is not None:
                raise  # an error of the system, and not of the content
            raise CorruptArtifact(f"{self._path} is not a readable Parquet file: {error}") from error


def _open(path: Path, options: dict[str, Any]) -> tuple[pq.ParquetFile, NDArray[np.int64]]:
    """Return the file and the first row of each row group."""
    file = pq.ParquetFile(pa.OSFile(str(path)), **options)
    metadata = file.metadata
    counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    starts = np.cumsum([0, *counts], dtype=np.int64)
    if starts[-1] != metadata.num_rows or min(counts, default=0) < 0:
        raise ValueError(f"its row groups have {counts} rows, but it states {metadata.num_rows}")
    return file, starts


def read_buffer(path: Path) -> pa.NativeFile:
    """Return the content of a file in memory that Arrow owns.

    With Python bytes, a thread of Arrow would release them some time later. If the interpreter has ended by then, the
    process aborts (3 of 120 short scripts did).

    Raises:
        OSError: from the file system.
    """
    with pa.OSFile(str(path)) as file:
        return pa.BufferReader(file.read_buffer())


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return `schema` where dictionaries are replaced by their values."""
    plain = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema
    ]
    return pa.schema(plain)


def to_plain(table: pa.Table) -> pa.Table:
    """Return `table` where dictionaries are replaced by their values."""
    schema = plain_schema(table.schema)
    return table if table.schema.equals(schema) else table.cast(schema)


def require_columns(actual: pa.Schema, expected: pa.Schema, name: str = "manifest") -> None:
    """Check the columns of a table.

    Raises:
        CorruptArtifact: there are others than expected.
    """
    if not actual.equals(expected):
        missing = [column for column in expected.names if column not in actual.names]
        is_earlier = bool(missing) and set(actual.names) < set(expected.names)
        advice = "; `python -m pipeline.verify --upgrade STORE` converts an earlier mel store" if is_earlier else ""
        lack = f" ({', '.join(missing)} missing)" if missing else ""
        raise CorruptArtifact(f"{name} has columns {actual.names}; this version reads {expected.names}{lack}{advice}")
