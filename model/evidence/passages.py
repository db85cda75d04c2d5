"""Passages of 30 s of the recordings of a mel store, as a mel store of their own.

The frames stay where they are. Only the rows are new, so whatever computes features from a mel store also computes
them from its passages. The first folder in the id of a recording is its album.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from stores.errors import InvalidInput
from stores.manifest import ClipRow
from stores.mel_store import MelStore

PASSAGE_SECONDS = 30.0
"""Length of a passage."""
MAX_PASSAGES = 6
"""Largest number of passages of a recording, so that long recordings do not outweigh the others."""
SHIFT_SECONDS = 3.0
"""Largest shift of a passage towards the end of its recording, which has room for it after its last passage."""


@dataclass(frozen=True)
class Passage:
    """A span of 30 s of a recording."""

    recording: str
    """Id of the recording without its suffix, which is the same for a re-encoded copy."""
    album: str
    """First folder of this id."""
    start_seconds: float
    """Start of the span in the recording."""


def plan_passages(store: MelStore) -> list[Passage]:
    """Return the passages of every recording: up to six, 30 s long, evenly spaced, without overlap.

    A recording shorter than 33 s has none.

    Raises:
        InvalidInput: no recording is long enough, or one does not lie in the folder of an album.
    """
    passages = [passage for row in store.rows.select(state="written") for passage in _passages_of(row, store)]
    if not passages:
        raise InvalidInput(
            f"no recording of {store.path} lasts {PASSAGE_SECONDS + SHIFT_SECONDS:g} s; ingest longer recordings"
        )
    return passages


def place_passages(store: MelStore, passages: Sequence[Passage], shift_seconds: float = 0.0) -> MelStore:
    """Return a view of the store whose clips are `passages`, with the recording as group and the label `album`.

    Args:
        store: the store of `plan_passages`, or one of copies of its recordings.
        passages: the passages, in the order of the clips of the view.
        shift_seconds: shift of every passage towards the end of its recording, at most 3 s.

    Raises:
        InvalidInput: a recording is missing or is shorter than its passage.
    """
    rows = {_name(row.id): row for row in store.rows.select(state="written")}
    missing = sorted({passage.recording for passage in passages} - rows.keys())
    if missing:
        raise InvalidInput(f"{store.path} has no recording {missing[0]!r}; ingest the copy of every recording")
    placed = [_place(store, rows[passage.recording], passage, shift_seconds) for passage in passages]
    return MelStore(store.path, store.attributes, [replace(row, index=i) for i, row in enumerate(placed)])


def _name(clip_id: str) -> str:
    return str(PurePosixPath(clip_id).with_suffix(""))


def _passages_of(row: ClipRow, store: MelStore) -> list[Passage]:
    album, *folders = PurePosixPath(row.id).parts
    if not folders:
        raise InvalidInput(f"recording {row.id!r} is not in a folder; each album needs a folder below --root")
    count = int((store.spec.seconds_for(row.frames) - SHIFT_SECONDS) // PASSAGE_SECONDS)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_PASSAGES)).round()) if count > 0 else np.zeros(0)
    return [Passage(_name(row.id), album, float(position) * PASSAGE_SECONDS) for position in chosen]


def _place(store: MelStore, row: ClipRow, passage: Passage, shift_seconds: float) -> ClipRow:
    frame_seconds = store.spec.seconds_for(1)
    frames = round(PASSAGE_SECONDS / frame_seconds)
    # a copy by another codec may end some frames earlier
    start = min(round((passage.start_seconds + shift_seconds) / frame_seconds), row.frames - frames)
    if start < 0:
        raise InvalidInput(f"recording {row.id!r} of {store.path} is shorter than {PASSAGE_SECONDS:g} s")
    return replace(
        row,
        id=f"{passage.recording}#{passage.start_seconds:g}",
        group=passage.recording,
        labels={"album": passage.album},
        start_frame=row.start_frame + start,
        frames=frames,
        cut_start_seconds=start * frame_seconds,
        cut_seconds=PASSAGE_SECONDS,
    )
