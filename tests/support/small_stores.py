"""Small mel stores with random codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stores.chunk_grid import ChunkGrid, plan_regions
from stores.manifest import ClipRow, assign_regions, planned_regions
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

SMALL_GRID = ChunkGrid(chunk_frames=16, zarr_shard_frames=64)


def store_settings(**changed):
    """Return the settings of a mel store, with the given changes."""
    settings = {
        "dataset": "made",
        "root": "/nowhere",
        "mel_spec": MelSpec().to_dict(),
        "quantizer": Quantizer().to_dict(),
        "preprocessing": {"decoder": "none"},
    }
    return {**settings, **changed}


def planned_rows(lengths, grid=SMALL_GRID, splits=None):
    """Return one planned row per length, with its region."""
    splits = splits or [""] * len(lengths)
    rows = [ClipRow(i, f"clip-{i}", f"{i}.wav", f"group-{i}", splits[i]) for i in range(len(lengths))]
    return assign_regions(rows, plan_regions([((clip,), frames) for clip, frames in enumerate(lengths)], grid))


def random_codes(frames, seed=0):
    """Return codes `[128, frames]` that are uniform over all 256 values."""
    return np.random.default_rng(seed).integers(0, 256, (128, frames), dtype=np.uint8)


def store_maker(folder):
    """Return a function that writes a complete mel store below `folder` and returns it.

    Its first argument is the number of frames of each clip. A clip of 0 frames is rejected.
    """

    def make(lengths, name="made.zarr", splits=None, grid=SMALL_GRID, seed=0, **settings):
        rows = planned_rows([max(1, frames) for frames in lengths], grid, splits)
        store = MelStore.create(folder / name, rows, store_settings(**settings), grid)
        for region in planned_regions(rows):
            frame, rows_of_region, codes = region.start_frame, [], []
            for clip in region.clips:
                if not lengths[clip]:
                    rows_of_region.append(replace(rows[clip], state="refused", reason="unreadable", detail="no audio"))
                    continue
                codes.append(random_codes(lengths[clip], seed * 10_000 + clip))
                row = replace(rows[clip], state="written", start_frame=frame, frames=lengths[clip])
                rows_of_region.append(replace(row, source_digest=f"{seed}-{clip}"))
                frame += lengths[clip]
            if codes:
                store.write_region(region, np.concatenate(codes, axis=1))
            store.finish_region(region, rows_of_region)
        store.update(store.merged_rows())
        return store

    return make
