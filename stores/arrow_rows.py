"""A sequence of row objects over columns in Arrow.

As Python objects, the rows of a manifest take 4.6 kB each, which is 4.6 GB for a million rows. Here, row objects exist
only while they are used. Filters and look-ups read only the columns that they need.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar, Self, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stores.arrow_columns import GROUP_ROWS, ColumnCache, Columns, TableColumns, require_columns, to_plain

MAX_ROW_OBJECTS = 20_000
"""Largest number of rows that are worth objects, which take 4.6 kB each and are read faster than columns."""
_OBJECTS_AT_ONCE = 8_192
Row = TypeVar("Row")


class ArrowRows(Sequence[Row]):
    """A sequence of row objects. A slice or a selection is a view of the same columns and copies nothing."""

    schema: ClassVar[pa.Schema]
    """Columns of the rows."""

    def __init__(
        self, columns: Columns, positions: NDArray[np.int64] | None = None, cache: ColumnCache | None = None
    ) -> None:
        self._columns = columns
        self._positions = positions
        self._cache = cache or ColumnCache(columns)

    @classmethod
    @abstractmethod
    def to_table(cls, rows: Sequence[Row]) -> pa.Table:
        """Return row objects as a table with the columns of `schema`."""

    @classmethod
    @abstractmethod
    def to_objects(cls, table: pa.Table) -> list[Row]:
        """Return the rows of a table with the columns of `schema` as objects."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """Return `rows` as a sequence of this kind."""
        if isinstance(rows, cls):
            return rows
        remaining, tables = iter(rows), [cls.schema.empty_table()]
        while batch := list(islice(remaining, _OBJECTS_AT_ONCE)):
            tables.append(cls.to_table(batch))
        return cls.from_table(pa.concat_tables(tables))

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """Return the rows of a table with the columns of `schema`.

        Raises:
            CorruptArtifact: the table has other columns.
        """
        require_columns(table.schema, cls.schema)
        return cls(TableColumns(table))

    @classmethod
    def concat(cls, parts: Iterable[Iterable[Row]]) -> Self:
        """Return the rows of all parts, one part after another."""
        tables = [cls.of(part).table() for part in parts]
        return cls.from_table(pa.concat_tables([cls.schema.empty_table(), *tables]))

    def __len__(self) -> int:
        return int(self._columns.starts[-1]) if self._positions is None else len(self._positions)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Row | Self:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        place = index % len(self)
        return self.to_objects(self._row(place if self._positions is None else int(self._positions[place])))[0]

    def __iter__(self) -> Iterator[Row]:
        for table in self.batches():
            yield from self.to_objects(table)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        if len(self) != len(other):
            return False
        if not isinstance(other, type(self)):
            return all(row == another for row, another in zip(self, other, strict=True))
        parts = [slice(start, start + GROUP_ROWS) for start in range(0, len(self), GROUP_ROWS)]
        return all(self[part].table().equals(other[part].table()) for part in parts)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} rows>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_table, (self.table(),)

    def verify(self) -> None:
        """Read everything once, so that damage of the file is an error now and not later.

        Raises:
            CorruptArtifact: the file of the columns is damaged.
        """
        self._columns.verify()

    def batches(self, names: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows in tables of at most `GROUP_ROWS` rows, with the columns `names` or all.

        Raises:
            CorruptArtifact: the file of the columns is damaged.
        """
        if self._positions is None or _is_increasing(self._positions):
            numbers = range(len(self._columns.starts) - 1)
            yield from (table for number in numbers if (table := self._part(number, names)).num_rows)
        else:
            for start in range(0, len(self), GROUP_ROWS):
                yield self._gather(self._positions[start : start + GROUP_ROWS], names)

    def table(self, names: Sequence[str] | None = None) -> pa.Table:
        """Return the rows as a table with the columns `names` or all."""
        if self._positions is None:
            return to_plain(self._columns.read(names))
        empty = self.schema.empty_table()
        return pa.concat_tables([empty if names is None else empty.select(names), *self.batches(names)])

    def column(self, name: str) -> pa.ChunkedArray:
        """Return one column."""
        return self.table([name]).column(name)

    def numbers(self, name: str) -> NDArray[Any]:
        """Return a column of numbers `[rows]`, which must not be changed."""
        return self._selected(self._cache.numbers(name))

    def codes(self, name: str, words: Sequence[str]) -> NDArray[np.int8]:
        """Return the position in `words` of each value of a text column `[rows]`, or -1 for any other value."""
        return self._selected(self._cache.codes(name, words))

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Self:
        """Return the rows at `indices` `[chosen rows]`, in this order."""
        places = np.asarray(indices, np.int64)
        return type(self)(self._columns, places if self._positions is None else self._positions[places], self._cache)

    def select(self, **values: str | Collection[str]) -> Self:
        """Return the rows whose text columns have certain values, as in `select(state="written", split="test")`.

        Args:
            values: accepted value of each column, or a collection of accepted values.
        """
        accepted = np.ones(len(self), bool)
        for name, value in values.items():
            words = pa.array([value] if isinstance(value, str) else list(value), pa.string())
            accepted &= pc.is_in(self.column(name), value_set=words).to_numpy()
        return self.take(np.flatnonzero(accepted))

    def with_columns(self, **columns: Any) -> Self:
        """Return the rows with other values `[rows]` in some columns."""
        table = self.table()
        for name, values in columns.items():
            field = self.schema.field(name)
            array = values if isinstance(values, pa.ChunkedArray) else pa.array(values, field.type)
            table = table.set_column(table.schema.get_field_index(name), field, array)
        return type(self).from_table(table)

    def with_rows(self, indices: Sequence[int] | NDArray[np.int64], rows: Iterable[Row]) -> Self:
        """Return the rows where those at `indices` `[replaced rows]` are replaced by `rows`."""
        places = np.arange(len(self))
        places[np.asarray(indices, np.int64)] = len(self) + np.arange(len(indices))
        return type(self).concat([self, rows]).take(places)

    def unpacked(self) -> Sequence[Row]:
        """Return the rows as a list of objects if there are at most `MAX_ROW_OBJECTS`, and else as they are."""
        return self if len(self) > MAX_ROW_OBJECTS else list(self)

    def _selected(self, array: NDArray[Any]) -> NDArray[Any]:
        return array if self._positions is None else array[self._positions]

    def _row(self, place: int) -> pa.Table:
        number = int(np.searchsorted(self._columns.starts, place, side="right")) - 1
        group = self._columns.group(number, keep=True)
        return to_plain(group.slice(place - self._columns.starts[number], 1))

    def _part(self, number: int, names: Sequence[str] | None) -> pa.Table:
        """Return the rows of this view that are in one group. The positions of the view are in order."""
        if self._positions is None:
            return to_plain(self._columns.group(number, names))
        start, stop = self._columns.starts[number : number + 2]
        first, last = np.searchsorted(self._positions, (start, stop))
        if first == last:
            return self.schema.empty_table()
        group = self._columns.group(number, names, keep=len(self) < GROUP_ROWS // 8)  # views of regions come in series
        return to_plain(group if last - first == stop - start else group.take(self._positions[first:last] - start))

    def _gather(self, places: NDArray[np.int64], names: Sequence[str] | None) -> pa.Table:
        """Return the rows at these places of the columns, in any order and also repeated."""
        starts = self._columns.starts
        numbers = np.searchsorted(starts, places, side="right") - 1
        order = np.argsort(numbers, kind="stable")
        tables = [
            to_plain(self._columns.group(int(n), names, keep=True).take(places[order][numbers[order] == n] - starts[n]))
            for n in np.unique(numbers)
        ]
        return pa.concat_tables(tables).take(np.argsort(order))


def _is_increasing(positions: NDArray[np.int64]) -> bool:
    return bool((np.diff(positions) > 0).all())
