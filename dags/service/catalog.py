"""The collection that is served: neighbors of uploads and of its own tracks, as long as its files do not change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dags.service.failures import Failure
from dags.service.track_table import Track
from model.similarity import exact, neighbors
from model.similarity.ann_index import AnnIndex
from model.similarity.collection import Collection
from model.similarity.query import Query

MAX_NEIGHBORS = 1_000
"""Largest number of neighbors of an answer."""
MAX_PATH_TRACKS = 100
"""Largest number of tracks of a path."""
MAX_TRACKS_PER_AUTHOR = 3
"""Tracks of one artist in an answer without duplicates, as in AudioMuse-AI."""
SAME_RECORDING_COSINE = 0.999
"""Cosine from which two tracks count as the same recording in an answer without duplicates."""


@dataclass(frozen=True)
class Catalog:
    """A collection in memory, with the names of its tracks."""

    collection: Collection
    """The embeddings."""
    tracks: Sequence[Track]
    """Names of the clips, in their order."""
    index: AnnIndex | None = None
    """Index of a collection that is too large for an exact search."""

    @classmethod
    def open(cls, collection: Collection, tracks: Sequence[Track], index: AnnIndex | None) -> Catalog:
        """Return the catalog, and remember the state of its files."""
        catalog = cls(collection, tracks, index)
        # computed before the first request
        _ = catalog._states, catalog._positions, catalog._names, collection.vectors
        return catalog

    @cached_property
    def _states(self) -> dict[Path, tuple[int, ...]]:
        return _file_states(self._folders)

    @property
    def _folders(self) -> list[Path]:
        store = self.collection.store
        return [self.collection.path, *([store.path] if store else [])]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {track.item_id: position for position, track in enumerate(self.tracks)}

    @cached_property
    def _names(self) -> dict[tuple[str, str], int]:
        last_first = reversed(list(enumerate(self.tracks)))
        return {_name_key(track): position for position, track in last_first}

    @property
    def has_changed(self) -> bool:
        """True if a file of the embeddings or of their mel store is another one than at the start."""
        return _file_states(self._folders) != self._states

    def require_unchanged(self) -> None:
        """Check that the answers are those of the files on disk.

        Raises:
            Failure: 503, a file has changed.
        """
        if self.has_changed:
            raise Failure(
                503,
                f"{self.collection.path.name} has changed since the service was started",
                "neighbors would be those of embeddings that are no longer on disk",
                "start the service again",
            )

    def neighbors(self, vector: NDArray[np.float32], count: int) -> list[dict[str, Any]]:
        """Return the clips nearest to a unit vector `[D]` as JSON values.

        Raises:
            Failure: a file has changed.
        """
        self.require_unchanged()
        matches = self._search(vector, min(count, MAX_NEIGHBORS))
        return [{"cosine": round(value, 4), **self._identity(row)} for row, value in matches]

    def position(self, item_id: str) -> int | None:
        """Return the position of the track with this id, or None."""
        return self._positions.get(item_id)

    def position_of_title(self, title: str, artist: str) -> int | None:
        """Return the position of the first track with this title and artist, or None."""
        wanted = title.casefold(), artist.casefold()
        return self._names.get(wanted)

    def similar_tracks(self, position: int, count: int, eliminates_duplicates: bool) -> list[dict[str, Any]]:
        """Return the tracks nearest to a track as AudioMuse-AI does, the nearest first.

        Args:
            position: position of the track.
            count: largest number of tracks.
            eliminates_duplicates: leave out other copies of a recording, and tracks of an artist with three already.

        Raises:
            Failure: a file has changed.
        """
        self.require_unchanged()
        count = min(count, MAX_NEIGHBORS)
        vector = self.collection.vectors[position]
        matches = self._search(vector, (5 * count + 50 if eliminates_duplicates else count) + 1)
        rows = (pair for pair in matches if pair[0] != position)
        chosen = self._without_duplicates(position, rows) if eliminates_duplicates else rows
        pairs = [pair for pair, _ in zip(chosen, range(count), strict=False)]
        return [{**vars(self.tracks[row]), "distance": round(max(0.0, 1 - cosine), 6)} for row, cosine in pairs]

    def path(self, first: int, last: int, count: int) -> dict[str, Any]:
        """Return a path of at most `count` tracks between two tracks, with both, as AudioMuse-AI does.

        Args:
            first: position of the first track.
            last: position of the last track.
            count: largest number of tracks, at least 3.

        Raises:
            InvalidInput: both are the same track.
            Failure: a file has changed.
        """
        self.require_unchanged()
        clips, vectors = self.collection.clips, self.collection.vectors
        ends = [Query(clips[row].id, vectors[row], clips[row], row, False) for row in (first, last)]
        matches = neighbors.between(self.collection, ends[0], ends[1], min(count, MAX_PATH_TRACKS, len(clips)))
        rows = {clip.id: row for row, clip in enumerate(clips)}
        distances = [0.0, *(round(max(0.0, 1 - match.cosine), 6) for match in matches[1:])]
        tracks = [
            {**vars(self.tracks[rows[match.clip.id]]), "distance": distance}
            for match, distance in zip(matches, distances, strict=True)
        ]
        return {"path": tracks, "total_distance": round(sum(distances), 6)}

    def _search(self, vector: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
        """Return the nearest rows with their cosines."""
        if self.index is not None:
            nearest = self.index.search(vector[None], count)
        else:
            nearest = exact.search(vector[None], self.collection.vectors, count)
        return list(zip(nearest.rows[0].tolist(), nearest.cosines[0].tolist(), strict=True))

    def _identity(self, row: int) -> dict[str, Any]:
        clip = self.collection.clips[row]
        labels = {"labels": dict(clip.labels)} if clip.labels else {}
        return {"id": clip.id, "item_id": self.tracks[row].item_id, **labels}

    def _without_duplicates(self, position: int, rows: Iterator[tuple[int, float]]) -> Iterator[tuple[int, float]]:
        """Yield the rows that are another recording than those before, and not the fourth of an artist."""
        vectors = self.collection.vectors
        listed, names, authors = [position], {_name_key(self.tracks[position])}, dict[str, int]()
        for row, cosine in rows:
            track = self.tracks[row]
            author = track.author.casefold()
            is_double = track.has_author and _name_key(track) in names
            is_frequent = track.has_author and authors.get(author, 0) >= MAX_TRACKS_PER_AUTHOR
            if is_double or is_frequent or (vectors[listed] @ vectors[row]).max() >= SAME_RECORDING_COSINE:
                continue
            listed.append(row)
            names.add(_name_key(track))
            authors[author] = authors.get(author, 0) + 1
            yield row, cosine


def _name_key(track: Track) -> tuple[str, str]:
    return track.title.casefold(), track.author.casefold()


def _file_states(paths: Sequence[Path]) -> dict[Path, tuple[int, ...]]:
    """Return the identity, size and time of each path and of the files directly in it."""
    states: dict[Path, tuple[int, ...]] = {}
    for path in paths:
        for file in (path, *_files(path)):
            try:
                status = file.stat()
            except OSError:
                states[file] = (-1,)
                continue
            states[file] = (status.st_ino, status.st_size if file.is_file() else 0, status.st_mtime_ns)
    return states


def _files(path: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(path) if entry.is_file()]
    except OSError:
        return []
