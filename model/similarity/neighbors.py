"""The results of a search: the clips nearest to a query, and a path of similar clips between two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.similarity import exact
from model.similarity.ann_index import AnnIndex
from model.similarity.collection import Collection
from model.similarity.query import Query
from stores.errors import InvalidInput
from stores.manifest import ClipRow


@dataclass(frozen=True)
class Match:
    """A clip that was found."""

    clip: ClipRow
    """The clip."""
    cosine: float
    """Cosine similarity to the query, from -1 to 1."""
    start_seconds: float | None = None
    """Start of the most similar window; None if whole recordings were compared."""

    def to_dict(self, collection: Collection) -> dict[str, Any]:
        """Return JSON values."""
        path = collection.audio_path(self.clip)
        start = {} if self.start_seconds is None else {"start_seconds": round(self.start_seconds, 3)}
        labels = {"labels": dict(self.clip.labels)} if self.clip.labels else {}
        return {"id": self.clip.id, "cosine": round(self.cosine, 4), **start, "path": path and str(path), **labels}


def nearest(
    collection: Collection,
    query: Query,
    count: int,
    exclude_same_album: bool = False,
    index: AnnIndex | None = None,
) -> list[Match]:
    """Return the clips nearest to a query, without the query itself.

    A moment is compared with all windows if the collection has them, and each clip is listed with its best window.

    Args:
        collection: the collection.
        query: what to look for.
        count: largest number of clips.
        exclude_same_album: leave out the album of the query.
        index: index of the clips, which is used instead of an exact search of whole recordings.
    """
    excluded = _excluded(collection, query, exclude_same_album)
    if query.is_moment and collection.has_windows:
        return _nearest_windows(collection, query, count, excluded)
    if index is None:
        found = exact.search(query.vector[None], collection.vectors, count, excluded)
    else:
        found = index.search(query.vector[None], count + int(excluded.sum()))
    pairs = zip(found.rows[0].tolist(), found.cosines[0].tolist(), strict=True)
    return [Match(collection.clips[row], cosine) for row, cosine in pairs if not excluded[row]][:count]


def between(collection: Collection, first: Query, last: Query, count: int) -> list[Match]:
    """Return a path of `count` clips from one query to another, with both ends if they are clips.

    Each step is the unused clip nearest to an even step on the great circle between the two vectors. The cosines are
    those of a clip to the one before it.

    Raises:
        InvalidInput: both are the same clip, or the path has no room for both ends.
    """
    ends = [query.position for query in (first, last) if query.position is not None]
    if first.position is not None and first.position == last.position:
        raise InvalidInput(f"--between needs two different recordings (got {first.name} twice)")
    if count < len(ends) + 1:
        raise InvalidInput(
            f"--count must be at least {len(ends) + 1} for a path between {len(ends)} clips (got {count})"
        )
    used = np.zeros(len(collection.clips), bool)
    used[ends] = True
    positions = [] if first.position is None else [first.position]
    for point in _great_circle(first.vector, last.vector, count - len(ends)):
        rows = exact.search(point[None], collection.vectors, 1, used).rows[0]
        positions += rows.tolist()
        used[rows] = True
    positions += [] if last.position is None else [last.position]
    vectors = collection.vectors[positions]
    before = np.concatenate([first.vector[None], vectors[:-1]])
    steps = (before * vectors).sum(axis=1)
    return [Match(collection.clips[p], float(cosine)) for p, cosine in zip(positions, steps, strict=True)]


def _great_circle(first: NDArray[np.float32], last: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Return evenly spaced unit vectors between two, without them, `[steps, D]`."""
    angle = float(np.arccos(np.clip(first @ last, -1, 1)))
    shares = np.linspace(0, 1, steps + 2)[1:-1, None]
    if np.sin(angle) < 1e-6:
        return exact.unit_rows((1 - shares) * first + shares * last)
    return exact.unit_rows((np.sin((1 - shares) * angle) * first + np.sin(shares * angle) * last) / np.sin(angle))


def _excluded(collection: Collection, query: Query, exclude_same_album: bool) -> NDArray[np.bool_]:
    excluded = np.zeros(len(collection.clips), bool)
    if query.position is not None:
        excluded[query.position] = True
    return excluded | collection.same_album(query.album) if exclude_same_album and query.album else excluded


def _nearest_windows(collection: Collection, query: Query, count: int, excluded: NDArray[np.bool_]) -> list[Match]:
    """Return the clips with the nearest windows, each with its best window."""
    spans = collection.features.spans
    rows = exact.search(query.vector[None], collection.windows, len(spans), excluded[spans.clip])
    matches: dict[int, Match] = {}
    for row, cosine in zip(rows.rows[0].tolist(), rows.cosines[0].tolist(), strict=True):
        clip = int(spans.clip[row])
        if clip not in matches:
            matches[clip] = Match(collection.clips[clip], cosine, float(spans.start_seconds[row]))
        if len(matches) == count:
            break
    return list(matches.values())
