"""Names and tracks of a large listing, as sequences that hold no object for each of them.

A million names as text take 100 MB, and a million tracks over 1 GB. Here, names lie end to end in one buffer, and a
track is built when it is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.datasets.track import Track

_BATCH_NAMES = 16_384


class Names(Sequence[str]):
    """Names of files, also those that are not UTF-8, sorted by their bytes."""

    def __init__(self, names: Iterable[str]) -> None:
        """Sort the names, which are read once."""
        remaining, chunks = iter(names), [pa.array([], pa.large_binary())]
        while batch := list(islice(remaining, _BATCH_NAMES)):
            chunks.append(pa.array(map(os.fsencode, batch), pa.large_binary()))
        unsorted = pa.concat_arrays(chunks)
        self._array = unsorted.take(pc.array_sort_indices(unsorted))

    def __len__(self) -> int:
        return len(self._array)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [os.fsdecode(name) for name in self._array[index].to_pylist()]
        return os.fsdecode(self._array[index].as_py())

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BATCH_NAMES):
            yield from self[start : start + _BATCH_NAMES]


class LazyTracks(Sequence[Track]):
    """Tracks that are built from their names when they are used."""

    def __init__(
        self, names: Sequence[str], build: Callable[[str], Track], positions: NDArray[np.int64] | None = None
    ) -> None:
        """Take the names and the function that builds a track, and the positions `[tracks]` if not all are listed."""
        self._names, self._build = names, build
        self._has_all = positions is None
        self._positions = np.arange(len(names)) if positions is None else positions

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> Track: ...
    @overload
    def __getitem__(self, index: slice) -> LazyTracks: ...
    def __getitem__(self, index: int | slice) -> Track | LazyTracks:
        if isinstance(index, slice):
            return LazyTracks(self._names, self._build, self._positions[index])
        return self._build(self._names[int(self._positions[index])])

    def __iter__(self) -> Iterator[Track]:
        if self._has_all:  # names in order are read in batches
            yield from map(self._build, self._names)
        else:
            yield from (self[place] for place in range(len(self)))
