"""A mel store -> WebDataset shards: choose the clips to train on, shuffle them once, write them many to a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stores.chunk_grid import packs
from stores.errors import CorruptArtefact, InvalidInput, MissingArtefact
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.quantize import Quantizer
from stores.shards import Record, ShardSet, remove_shards, write_shard

WINDOW_FRAMES = 96
"""Shortest clip that can be trained on: one window."""
SHARD_BITS = 8
"""Shards hold 8-bit codes, whatever the store holds."""
TRAINING_SPLITS = ("", "train")
"""Clips of other splits never reach a shard."""


@dataclass(frozen=True)
class ShardPlan:
    """How clips are cut into records and shards."""

    seed: int = 0
    """Of the one shuffle of all clips."""
    record_frames: int = 16_384
    """Frames of a record, about 50 clips of 10 s (2 MiB)."""
    records_per_shard: int = 32
    """Records of one tar (64 MiB)."""


def choose(rows: Sequence[ClipRow]) -> tuple[list[ClipRow], dict[str, int]]:
    """The clips to train on, and how many were left out for what."""
    reasons = [(row, _left_out(row)) for row in rows]
    return [row for row, reason in reasons if not reason], dict(Counter(reason for _, reason in reasons if reason))


def plan_shards(chosen: Sequence[ClipRow], plan: ShardPlan) -> list[list[list[int]]]:
    """Clip indices of every record of every shard, shuffled over all clips by `plan.seed`."""
    order = np.random.default_rng(plan.seed).permutation(len(chosen))
    records = list(packs(((chosen[i].index, chosen[i].frames) for i in order), plan.record_frames))
    return [records[i : i + plan.records_per_shard] for i in range(0, len(records), plan.records_per_shard)]


def write_shards(store: MelStore, folder: Path, plan: ShardPlan) -> ShardSet:
    """Write all shards of `store` into `folder`, then their index.

    Shards of the same store are taken as they are; damaged ones and those of another store are made anew.

    Raises:
        InvalidInput: no clip of the store can be trained on.
    """
    if (existing := _existing(store, folder)) is not None:
        return existing
    chosen, left_out = choose(store.rows)
    if not chosen:
        raise InvalidInput(f"no clip of {store.path} can be trained on: {left_out}")
    remove_shards(folder)
    facts = []
    with tqdm(total=len(chosen), unit="clip", desc="shard") as bar:
        for number, records in enumerate(plan_shards(chosen, plan)):
            path = folder / f"{folder.stem}-{number:06d}.tar"
            facts.append(write_shard(path, list(_records(store, records, bar))))
    shards = ShardSet(
        folder,
        tuple(facts),
        left_out,
        store_digest=store.digest(),
        store_clips=len(store),
        spec=store.spec,
        quantizer=_shard_quantizer(store),
        preprocessing=store.attributes["preprocessing"],
    )
    shards.write_index()
    return shards


def _existing(store: MelStore, folder: Path) -> ShardSet | None:
    try:
        shards = ShardSet.open(folder)
    except (MissingArtefact, CorruptArtefact):
        return None
    return shards if shards.store_digest == store.digest() else None


def _left_out(row: ClipRow) -> str:
    if row.state != "written":
        return row.state
    if row.split not in TRAINING_SPLITS:
        return f"split {row.split}"
    return "" if row.frames >= WINDOW_FRAMES else f"shorter than {WINDOW_FRAMES} frames"


def _records(store: MelStore, records: Sequence[Sequence[int]], bar: tqdm[None]) -> Iterator[Record]:
    for clips in records:
        codes = [np.ascontiguousarray(_codes(store, clip).T) for clip in clips]
        frames = np.array([len(c) for c in codes], np.int64)
        bar.update(len(clips))
        yield Record(np.concatenate(codes), np.array(clips, np.int64), frames)


def _shard_quantizer(store: MelStore) -> Quantizer:
    """That of the store, or the default of 8 bits for a store of finer values: a training step reads a byte a cell."""
    return store.quantizer if store.quantizer.bits == SHARD_BITS else Quantizer()


def _codes(store: MelStore, clip: int) -> NDArray[np.uint8]:
    quantizer = _shard_quantizer(store)
    return store.codes(clip) if quantizer == store.quantizer else quantizer.encode(store.clip(clip))
