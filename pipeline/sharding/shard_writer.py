"""A mel store -> WebDataset shards: choose the clips to train on, shuffle them once, write them many to a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stores import shard_integrity
from stores.chunk_grid import packs
from stores.digest import digest
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.quantize import Quantizer
from stores.shards import Record, ShardFacts, ShardSet, remove_shards, write_shard

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


def write_shards(store: MelStore, folder: Path, plan: ShardPlan, *, trusts_sizes: bool = True) -> ShardSet:
    """Write all shards of `store` into `folder`, then their index.

    Finished shards of the same store and plan are taken as they are; damaged and all other ones are made anew.

    Args:
        store: where the clips come from.
        folder: where the shards go.
        plan: how clips are shuffled and cut.
        trusts_sizes: take a tar of a finished set for sound that has its size; otherwise read it.

    Raises:
        InvalidInput: no clip of the store can be trained on.
        CorruptArtifact: a clip of the store cannot be read.
    """
    made_from = digest({"store": store.digest(), "plan": asdict(plan)})
    existing = _existing(store, folder, plan)
    if existing is not None and trusts_sizes and _has_sizes(existing):
        shard_integrity.forget(folder)  # of a run that was killed at its very end
        return existing
    chosen, left_out = choose(store.rows)
    if not chosen:
        raise InvalidInput(f"no clip of {store.path} can be trained on: {left_out}")
    finished = _finished(folder, existing, made_from)
    if existing is not None and len(finished) == len(existing.shards):
        shard_integrity.forget(folder)
        return existing
    remove_shards(folder, keep=finished)
    shards = ShardSet(
        folder,
        tuple(_write_tars(store, folder, plan_shards(chosen, plan), finished, made_from)),
        left_out,
        store_digest=store.digest(),
        store_clips=len(store),
        spec=store.spec,
        quantizer=_shard_quantizer(store),
        preprocessing=store.attributes["preprocessing"],
        plan=asdict(plan),
    )
    shards.write_index()
    shard_integrity.forget(folder)
    return shards


def _existing(store: MelStore, folder: Path, plan: ShardPlan) -> ShardSet | None:
    """The finished set of the same store and plan, if there is one, sound or not."""
    try:
        shards = ShardSet.open(folder, complete=False)
    except (MissingArtifact, CorruptArtifact):
        return None
    return shards if shards.store_digest == store.digest() and shards.plan == asdict(plan) else None


def _has_sizes(shards: ShardSet) -> bool:
    try:
        ShardSet.open(shards.folder)
    except CorruptArtifact:
        return False
    return True


def _finished(folder: Path, existing: ShardSet | None, made_from: str) -> dict[str, ShardFacts]:
    """Sound tars by name, of a damaged set or one that was not finished; noted, since the index will go."""
    if existing is not None:
        for facts in existing.shards:
            if shard_integrity.damage(folder, facts) is None:
                shard_integrity.record(folder, facts, made_from)
    return {facts.name: facts for facts in shard_integrity.recorded(folder, made_from)}


def _write_tars(
    store: MelStore,
    folder: Path,
    planned: Sequence[Sequence[Sequence[int]]],
    finished: Mapping[str, ShardFacts],
    made_from: str,
) -> Iterator[ShardFacts]:
    with tqdm(total=sum(len(clips) for records in planned for clips in records), unit="clip", desc="shard") as bar:
        for number, records in enumerate(planned):
            path = folder / f"{folder.stem}-{number:06d}.tar"
            if path.name in finished:
                facts = finished[path.name]
                bar.update(facts.clips)
            else:
                facts = write_shard(path, list(_records(store, records, bar)))
                shard_integrity.record(folder, facts, made_from)
            yield facts


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
