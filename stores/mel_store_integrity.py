"""Integrity check of a mel store against its manifest, clip by clip, and restoration of damaged regions.

The check reads and decompresses everything, which takes 0.2 ms per clip of 10 s.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stores import manifest, mel_array
from stores.chunk_grid import Region
from stores.commit import sync_to_disk
from stores.digest import codes_digest
from stores.errors import CorruptArtifact, MissingArtifact
from stores.manifest import ClipRow, ClipRows
from stores.mel_array import ARRAY_METADATA, create_array
from stores.mel_store import MelStore
from stores.quantize import Codes

_WRONG_FRAMES = "its frames are not those that were written"


@dataclass(frozen=True)
class Damage:
    """Damage of one clip, whose frames are not those that were written."""

    clip: int
    """Index of the clip, or of the last clip of a region if the padding after it is damaged."""
    kind: str
    """Kind of damage: `missing` or `corrupt`."""
    detail: str
    """Description of the damage."""


def stored_regions(rows: Sequence[ClipRow]) -> Iterator[list[ClipRow]]:
    """Yield the clips of each region that have frames, in the order in which they are packed.

    Unlisted clips are among them, because they keep their frames for the time when they are listed again.
    """
    clips = ClipRows.of(rows)
    stored = clips.take(np.flatnonzero(clips.has_frames()))
    regions = stored.numbers("region_start")
    order = np.lexsort((stored.numbers("start_frame"), regions))
    firsts = np.flatnonzero(np.diff(regions[order], prepend=-1))
    for positions in np.split(order, firsts[1:]) if len(order) else ():
        yield list(stored.take(positions))


def find_damage(store: MelStore, rows: Sequence[ClipRow]) -> list[Damage]:
    """Return the damage of the clips of one region and of the padding after them. `rows` are all its written rows."""
    start, stop = rows[0].region_start, max(row.start_frame + row.frames for row in rows)
    try:
        codes = store.read_frames(start, start + store.grid.round_up(stop - start))
    except (MissingArtifact, CorruptArtifact) as error:
        damages = [damage for row in rows if (damage := _clip_damage(store, row))]
        return damages or [Damage(rows[-1].index, _kind(error), f"in the padding after the clip: {error}")]
    return [
        Damage(row.index, "corrupt", _WRONG_FRAMES)
        for row in rows
        if codes_digest(codes[:, row.start_frame - start :][:, : row.frames]) != row.codes_digest
    ]


def find_metadata_damage(store: MelStore) -> str:
    """Return what is wrong with the metadata of the array, or empty text if nothing is."""
    return mel_array.find_metadata_damage(store.path, store.attributes, manifest.total_frames(store.rows))


def restore_metadata(store: MelStore) -> None:
    """Write the metadata of the array again. No frame is changed."""
    (store.path / ARRAY_METADATA).unlink(missing_ok=True)
    create_array(store.path, store.attributes, manifest.total_frames(store.rows))


def restore_region(store: MelStore, rows: Sequence[ClipRow], codes: Mapping[int, Codes]) -> None:
    """Write a damaged region again beside the old one, and then replace its files, so that a kill loses nothing.

    Args:
        store: the store.
        rows: all written rows of the region.
        codes: the codes `[n_mels, frames]` of damaged clips by index. A damaged clip without codes becomes zeros. All
            other clips are copied from the store.
    """
    start = rows[0].region_start
    frames = max(row.start_frame + row.frames for row in rows) - start
    whole = np.zeros((store.spec.n_mels, frames), store.quantizer.dtype)
    for row in rows:
        place = whole[:, row.start_frame - start :][:, : row.frames]
        if row.index in codes:
            place[:] = codes[row.index]
        elif _clip_damage(store, row) is None:
            place[:] = store.read_frames(row.start_frame, row.start_frame + row.frames)
    temporary = store.path / f".restore.tmp-{os.getpid()}-{start}"
    try:
        _replace_files(store, temporary, start, whole)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_files(store: MelStore, temporary: Path, start_frame: int, codes: Codes) -> None:
    frames = store.grid.round_up(codes.shape[1])
    create_array(temporary, store.attributes, frames)
    copy = MelStore(temporary, store.attributes, ())
    copy.write_region(Region(0, frames, ()), codes)
    targets = store.shard_files(start_frame, start_frame + frames)
    for file, target in zip(copy.shard_files(0, frames), targets, strict=True):
        sync_to_disk(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)


def _clip_damage(store: MelStore, row: ClipRow) -> Damage | None:
    try:
        codes = store.read_frames(row.start_frame, row.start_frame + row.frames)
    except (MissingArtifact, CorruptArtifact) as error:
        return Damage(row.index, _kind(error), str(error))
    if codes_digest(codes) != row.codes_digest:
        return Damage(row.index, "corrupt", _WRONG_FRAMES)
    return None


def _kind(error: Exception) -> str:
    return "missing" if isinstance(error, MissingArtifact) else "corrupt"
