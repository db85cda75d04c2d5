"""Whether a mel store holds what its manifest says, clip by clip, and how a damaged region is put right.

Looking costs reading and decompressing everything: 0.2 ms a clip of 10 s.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stores import manifest
from stores.chunk_grid import Region
from stores.commit import synced
from stores.digest import codes_digest
from stores.errors import CorruptArtifact, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_store import MelStore, create_array
from stores.quantize import Codes

ARRAY_METADATA = "mel/zarr.json"


@dataclass(frozen=True)
class Damage:
    """One clip whose frames are not those that were written."""

    clip: int
    """Its index; of damage behind a region's last clip, that clip."""
    kind: str
    """`missing` or `corrupt`."""
    detail: str
    """What was found."""


def written_regions(rows: Sequence[ClipRow]) -> list[list[ClipRow]]:
    """The written rows, region by region, as they are packed."""
    found: dict[int, list[ClipRow]] = {}
    for row in rows:
        if row.state == "written":
            found.setdefault(row.region_start, []).append(row)
    return [sorted(found[start], key=lambda row: row.start_frame) for start in sorted(found)]


def damages(store: MelStore, rows: Sequence[ClipRow]) -> list[Damage]:
    """What is wrong with the clips of one region, all of its written rows, and with the padding behind them."""
    start, stop = rows[0].region_start, max(row.start_frame + row.frames for row in rows)
    try:
        codes = store.read_frames(start, start + store.grid.round_up(stop - start))
    except (MissingArtifact, CorruptArtifact) as error:
        found = [damage for row in rows if (damage := _damage(store, row))]
        return found or [Damage(rows[-1].index, _kind(error), f"in the padding behind it: {error}")]
    return [
        Damage(row.index, "corrupt", "its frames are not those that were written")
        for row in rows
        if codes_digest(codes[:, row.start_frame - start :][:, : row.frames]) != row.codes_digest
    ]


def metadata_damage(store: MelStore) -> str:
    """What is wrong with the array's own metadata; empty if nothing."""
    with tempfile.TemporaryDirectory(prefix="myna-") as folder:
        create_array(Path(folder), store.attributes, manifest.total_frames(store.rows))
        expected = json.loads((Path(folder) / ARRAY_METADATA).read_text())
    try:
        found = json.loads((store.path / ARRAY_METADATA).read_text())
    except (OSError, ValueError) as error:
        return str(error)
    return "" if found == expected else f"{ARRAY_METADATA} is not that of this store"


def restore_metadata(store: MelStore) -> None:
    """Write the array's metadata anew; no frame is touched."""
    (store.path / ARRAY_METADATA).unlink(missing_ok=True)
    create_array(store.path, store.attributes, manifest.total_frames(store.rows))


def restore(store: MelStore, rows: Sequence[ClipRow], codes: Mapping[int, Codes]) -> None:
    """Write a damaged region anew, beside the old one, and put its files in place: a kill half-way loses nothing.

    Args:
        store: the store.
        rows: all written rows of the region.
        codes: of those that are damaged, `[128, frames]` by index; of a clip that nobody has any more, nothing. All
            others are taken from the store as they are.
    """
    start = rows[0].region_start
    frames = max(row.start_frame + row.frames for row in rows) - start
    whole = np.zeros((store.spec.n_mels, frames), store.quantizer.dtype)
    for row in rows:
        place = whole[:, row.start_frame - start :][:, : row.frames]
        if row.index in codes:
            place[:] = codes[row.index]
        elif _damage(store, row) is None:
            place[:] = store.read_frames(row.start_frame, row.start_frame + row.frames)
    beside = store.path / f".restore.tmp-{os.getpid()}-{start}"
    try:
        _replace_files(store, beside, start, whole)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _replace_files(store: MelStore, beside: Path, start_frame: int, codes: Codes) -> None:
    room = store.grid.round_up(codes.shape[1])
    create_array(beside, store.attributes, room)
    copy = MelStore(beside, store.attributes, ())
    copy.write_region(Region(0, room, ()), codes)
    for made, place in zip(copy.shard_files(0, room), store.shard_files(start_frame, start_frame + room), strict=True):
        synced(made)
        place.parent.mkdir(parents=True, exist_ok=True)
        made.replace(place)


def _damage(store: MelStore, row: ClipRow) -> Damage | None:
    try:
        codes = store.read_frames(row.start_frame, row.start_frame + row.frames)
    except (MissingArtifact, CorruptArtifact) as error:
        return Damage(row.index, _kind(error), str(error))
    if codes_digest(codes) != row.codes_digest:
        return Damage(row.index, "corrupt", "its frames are not those that were written")
    return None


def _kind(error: Exception) -> str:
    return "missing" if isinstance(error, MissingArtifact) else "corrupt"
