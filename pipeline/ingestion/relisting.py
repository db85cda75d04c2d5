"""The changes that a new listing makes to the rows of a store.

Labels, groups and splits come from the new listing. A clip that is no longer listed becomes `unlisted` and keeps
everything else. When it is listed again, it returns to its former state without decoding. A clip whose file holds
another recording now is decoded again. So a recording never stands in a store under a split that it no longer has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.ingestion import replaced_files
from pipeline.ingestion.replaced_files import FileChanges
from stores import manifest
from stores.labels import count_noun
from stores.manifest import ClipRows

_DESCRIPTION = ("group", "split", "labels")
_PLACE = ("source", "member", "cut_start_seconds", "cut_seconds", "semitones")


def apply(
    rows: ClipRows, listed: ClipRows, positions: NDArray[np.int64], lists_all: bool, changes: FileChanges
) -> ClipRows:
    """Return `rows` with the states and descriptions of a new listing.

    Args:
        rows: rows of the manifest.
        listed: one row for each clip that is listed.
        positions: position in `listed` of each row, `[rows]`, or -1.
        lists_all: the listing is complete, so that a clip that it does not name is gone.
        changes: the files that changed.
    """
    is_listed = positions >= 0
    states = rows.column("state").to_numpy().astype(object)
    returning = rows.in_state("unlisted") & is_listed
    states[returning] = "written"
    states[returning & manifest.was_rejected(rows)] = "refused"
    states[returning & manifest.was_planned(rows)] = "planned"
    if lists_all:
        states[~is_listed] = "unlisted"
    unread = np.where(states == "written", -1, positions)  # a stored clip stays a clip of the file that it came from
    replaced = replaced_files.clips_of(changes.replaced)
    unread[replaced] = positions[replaced]
    described = {name: _choose(rows, listed, positions, name) for name in _DESCRIPTION}
    described |= {name: _choose(rows, listed, unread, name) for name in _PLACE}
    return _update_places(rows.with_columns(**described, state=states), changes)


def _choose(rows: ClipRows, listed: ClipRows, positions: NDArray[np.int64], name: str) -> pa.ChunkedArray:
    """Return the column of `listed` at `positions`, and that of `rows` where the position is -1."""
    old, new = rows.column(name), listed.column(name)
    places = np.where(positions >= 0, len(rows) + positions, np.arange(len(rows)))
    return pa.chunked_array([*old.chunks, *new.chunks], old.type).take(places)


def _update_places(rows: ClipRows, changes: FileChanges) -> ClipRows:
    """Return `rows` with the present places of files that were moved or touched."""
    if not changes.moved:
        return rows
    names = {"source": "source", "member": "member", "source_bytes": "size_bytes", "source_mtime_ns": "mtime_ns"}
    columns: dict[str, Any] = {name: rows.column(name).to_numpy().copy() for name in names}
    for suspect in changes.moved:
        for name, attribute in names.items():
            columns[name][list(suspect.clips)] = getattr(suspect.listed, attribute)
    return rows.with_columns(**columns)


def with_listed_cuts(rows: ClipRows, listed: ClipRows, clips: NDArray[np.int64]) -> ClipRows:
    """Return `rows` where `clips` (positions `[n]`) have the cuts of the new listing.

    The row of a stored clip whose file was cut already states no cut, and another file may have to be cut.
    """
    positions = np.full(len(rows), -1)
    positions[clips] = listed.index_of(rows.take(clips).column("id"))
    cuts = {name: _choose(rows, listed, positions, name) for name in ("cut_start_seconds", "cut_seconds")}
    return rows.with_columns(**cuts)


def clips_to_decode(before: ClipRows, after: ClipRows, changes: FileChanges) -> NDArray[np.int64]:
    """Return the indices `[clips]` of clips that must be planned again.

    They are those whose files were replaced, and those that return and were never decoded. The latter must not keep
    their region, because its other clips may have been written since.

    Args:
        before: rows before the new listing.
        after: rows after it.
        changes: the files that changed.
    """
    returned = np.flatnonzero(manifest.was_planned(before) & after.in_state("planned"))
    return np.union1d(replaced_files.clips_of(changes.replaced), returned)


def change_lines(before: ClipRows, after: ClipRows, changes: FileChanges) -> list[str]:
    """Return lines that count the clips that are no longer listed, that returned, and whose files were replaced.

    Args:
        before: rows before the new listing.
        after: rows after it.
        changes: the files that changed.
    """
    unlisted = after.in_state("unlisted")
    returned = int((before.in_state("unlisted") & ~unlisted).sum())
    replaced = len(replaced_files.clips_of(changes.replaced))
    gone = "no longer listed: kept, but left out of shards and splits (--prune removes them)"
    counted = (
        (int(unlisted.sum()), "is", "are", gone),
        (returned, "is", "are", "listed again, as before"),
        (replaced, "has", "have", "another recording in the file than before: decoded again"),
    )
    return [f"  {count_noun(n, 'clip')} {one if n == 1 else many} {what}" for n, one, many, what in counted if n]
