"""Parts of recordings: excerpts of 30 s of the recordings of a mel store, as a mel store of their own.

The frames stay where they are. Only the rows are new, so whatever computes features from a mel store also computes
them from its parts. The first folder in the id of a recording is its album.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from stores.errors import InvalidInput
from stores.manifest import ClipRow
from stores.mel_store import MelStore

PART_SECONDS = 30.0
"""Length of a part."""
MAX_PARTS = 6
"""Largest number of parts of a recording, so that long recordings do not outweigh the others."""
SHIFT_SECONDS = 3.0
"""Largest shift of a part towards the end of its recording, for which every recording has room after its last part."""


@dataclass(frozen=True)
class Part:
    """An excerpt of a recording."""

    recording: str
    """Id of the recording without its suffix, which is the same for a re-encoded copy."""
    album: str
    """First folder of this id."""
    start_seconds: float
    """Start of the excerpt in the recording."""


def plan_parts(store: MelStore) -> list[Part]:
    """Return the parts of every recording: up to six, 30 s long, evenly spaced, without overlap.

    A recording shorter than 33 s has none.

    Raises:
        InvalidInput: no recording is long enough, or one does not lie in the folder of an album.
    """
    parts = [part for row in store.rows.select(state="written") for part in _parts_of(row, store)]
    if not parts:
        raise InvalidInput(
            f"no recording of {store.path} lasts {PART_SECONDS + SHIFT_SECONDS:g} s; ingest longer recordings"
        )
    return parts


def place_parts(store: MelStore, parts: Sequence[Part], shift_seconds: float = 0.0) -> MelStore:
    """Return a view of the store whose clips are `parts`, with the recording as group and the label `album`.

    Args:
        store: the store of `plan_parts`, or one of copies of its recordings.
        parts: the parts, in the order of the clips of the view.
        shift_seconds: shift of every part towards the end of its recording, at most 3 s.

    Raises:
        InvalidInput: a recording is missing or is shorter than its part.
    """
    rows = {_name(row.id): row for row in store.rows.select(state="written")}
    missing = sorted({part.recording for part in parts} - rows.keys())
    if missing:
        raise InvalidInput(f"{store.path} has no recording {missing[0]!r}; ingest the copy of every recording")
    placed = [_place(store, rows[part.recording], part, shift_seconds) for part in parts]
    return MelStore(store.path, store.attributes, [replace(row, index=i) for i, row in enumerate(placed)])


def _name(clip_id: str) -> str:
    return str(PurePosixPath(clip_id).with_suffix(""))


def _parts_of(row: ClipRow, store: MelStore) -> list[Part]:
    album, *folders = PurePosixPath(row.id).parts
    if not folders:
        raise InvalidInput(f"recording {row.id!r} is not in a folder; each album needs a folder below --root")
    count = int((store.spec.seconds_for(row.frames) - SHIFT_SECONDS) // PART_SECONDS)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_PARTS)).round()) if count > 0 else np.zeros(0)
    return [Part(_name(row.id), album, float(position) * PART_SECONDS) for position in chosen]


def _place(store: MelStore, row: ClipRow, part: Part, shift_seconds: float) -> ClipRow:
    frame_seconds = store.spec.seconds_for(1)
    frames = round(PART_SECONDS / frame_seconds)
    # a copy by another codec may end some frames earlier
    start = min(round((part.start_seconds + shift_seconds) / frame_seconds), row.frames - frames)
    if start < 0:
        raise InvalidInput(f"recording {row.id!r} of {store.path} is shorter than {PART_SECONDS:g} s")
    return replace(
        row,
        id=f"{part.recording}#{part.start_seconds:g}",
        group=part.recording,
        labels={"album": part.album},
        start_frame=row.start_frame + start,
        frames=frames,
        cut_start_seconds=start * frame_seconds,
        cut_seconds=PART_SECONDS,
    )
