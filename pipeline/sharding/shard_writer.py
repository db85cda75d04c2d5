"""The shard writer: select the training clips of a mel store, shuffle them once, and write many to each record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.ingestion import shared_recordings
from stores import remote_link, shard_integrity
from stores.chunk_grid import pack_in_order
from stores.digest import digest
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.manifest import ClipRow, ClipRows
from stores.mel_store import MelStore
from stores.progress import Progress
from stores.quantize import Quantizer
from stores.shards import Record, ShardSet, ShardSummary, remove_shards, shard_name, write_shard

WINDOW_FRAMES = 96
"""Length of the shortest training clip in frames, which is one window."""
SHARD_BITS = 8
"""Bits of a code in a shard, whatever type the store has."""
TRAINING_SPLITS = ("", "train")
"""Splits whose clips are written to shards."""


@dataclass(frozen=True)
class ShardPlan:
    """The order of the clips and the sizes of records and shards."""

    seed: int = 0
    """Seed of the shuffle of all clips."""
    record_frames: int = 16_384
    """Largest number of frames of a record, about 50 clips of 10 s (2 MiB)."""
    records_per_shard: int = 32
    """Number of records in a shard (64 MiB)."""


@dataclass(frozen=True)
class ShardSource:
    """The inputs that determine the bytes of shards."""

    name: str
    """Name of the folder of the mel store."""
    digest: str
    """Digest of the store and of the plan."""


def select_clips(rows: Iterable[ClipRow]) -> tuple[ClipRows, dict[str, int]]:
    """Return the rows of the training clips, and the number of other clips by the reason why they are left out."""
    clips = ClipRows.of(rows)
    reasons = _exclusion_reasons(clips)
    return clips.take(np.flatnonzero(reasons == "")), dict(Counter(reasons[reasons != ""].tolist()))


def _exclusion_reasons(rows: ClipRows) -> NDArray[Any]:
    """Return why each clip is not trained on, as the index of a shard set stores it. Empty for a training clip."""
    states, splits = (rows.column(name).to_numpy().astype(object) for name in ("state", "split"))
    is_short = rows.numbers("frames") < WINDOW_FRAMES
    reasons = np.where(is_short, f"shorter than {WINDOW_FRAMES} frames", "").astype(object)
    is_other_split = ~np.isin(splits.astype(str), TRAINING_SPLITS)
    reasons[is_other_split] = "split " + splits[is_other_split]
    return np.where(rows.in_state("written"), reasons, states)


def plan_shards(clips: Iterable[ClipRow], plan: ShardPlan) -> list[list[list[int]]]:
    """Return the clip indices of each record of each shard, after a shuffle of all clips with `plan.seed`."""
    rows = ClipRows.of(clips)
    order = np.random.default_rng(plan.seed).permutation(len(rows))
    indices, frames = (rows.numbers(name)[order].tolist() for name in ("index", "frames"))
    records = list(pack_in_order(zip(indices, frames, strict=True), plan.record_frames))
    return [records[i : i + plan.records_per_shard] for i in range(0, len(records), plan.records_per_shard)]


def write_shards(store: MelStore, folder: Path, plan: ShardPlan, *, trust_sizes: bool = True) -> ShardSet:
    """Write all shards of `store` into `folder`, then their index.

    Sound shards of the same store and plan are kept. Damaged shards and all others are written again.

    Args:
        store: mel store with the clips.
        folder: folder of the shard set.
        plan: the shuffle and the sizes of records and shards.
        trust_sizes: treat a shard of a finished set as sound if it has the recorded size; otherwise read all its bytes.

    Raises:
        InvalidInput: no clip of the store can be trained on, a recording is in two splits that a user stated, or
            `folder` holds the shards of another store.
        CorruptArtifact: a clip of the store cannot be read.
    """
    shared_recordings.require_separate(store)
    store_digest = store.shards_digest()
    _require_own_folder(store, store_digest, folder)
    source = ShardSource(_name(store), digest({"store": store_digest, "plan": asdict(plan)}))
    existing = _existing_set(store_digest, folder, plan)
    if existing is not None and trust_sizes and _has_recorded_sizes(existing):
        shard_integrity.remove_records(folder)  # which a run leaves if it is killed after it wrote the index
        return existing
    clips, left_out = select_clips(store.rows)
    if not len(clips):
        raise InvalidInput(f"no clip of {store.path} can be trained on: {left_out}")
    sound = _sound_shards(folder, existing, source)
    if existing is not None and len(sound) == len(existing.shards):
        shard_integrity.remove_records(folder)
        return existing
    remove_shards(folder, keep=sound)
    shards = ShardSet(
        folder,
        tuple(_write_tars(store, folder, plan_shards(clips, plan), sound, source)),
        left_out,
        store_digest=store_digest,
        store_clips=len(store),
        spec=store.spec,
        quantizer=_shard_quantizer(store),
        preprocessing=store.attributes["preprocessing"],
        plan=asdict(plan),
        store_name=source.name,
    )
    shards.write_index()
    shard_integrity.remove_records(folder)
    return shards


def _name(store: MelStore) -> str:
    return store.path.absolute().name


def _require_own_folder(store: MelStore, store_digest: str, folder: Path) -> None:
    """Check that `folder` does not hold the shards of another store, which would be lost.

    Raises:
        InvalidInput: it does.
    """
    try:
        shards = ShardSet.open(folder, complete=False)
        owner = shards.store_name if shards.store_digest != store_digest else ""  # the store may have been renamed
    except (MissingArtifact, CorruptArtifact):
        owner = shard_integrity.recorded_store(folder)
    if owner and owner != _name(store):
        raise InvalidInput(
            f"{folder} holds the shards of {owner}, and not of {store.path}; rename one of the two stores, or remove "
            f"{folder} if its shards are not needed"
        )


def _existing_set(store_digest: str, folder: Path, plan: ShardPlan) -> ShardSet | None:
    """Return the finished set of the same store and plan, sound or damaged, if there is one."""
    try:
        shards = ShardSet.open(folder, complete=False)
    except (MissingArtifact, CorruptArtifact):
        return None
    return shards if shards.store_digest == store_digest and shards.plan == asdict(plan) else None


def _has_recorded_sizes(shards: ShardSet) -> bool:
    try:
        ShardSet.open(shards.folder)
    except CorruptArtifact:
        return False
    return True


def _sound_shards(folder: Path, existing: ShardSet | None, source: ShardSource) -> dict[str, ShardSummary]:
    """Return the sound shards of a damaged or unfinished set by name.

    They are recorded in `parts/` first, because the index, which lists them until now, will be removed.
    """
    if existing is not None:
        for shard in existing.shards:
            if shard_integrity.find_damage(folder, shard) is None:
                shard_integrity.record_shard(folder, shard, source.digest, source.name)
    return {shard.name: shard for shard in shard_integrity.find_recorded_shards(folder, source.digest)}


def _write_tars(
    store: MelStore,
    folder: Path,
    planned: Sequence[Sequence[Sequence[int]]],
    sound: Mapping[str, ShardSummary],
    source: ShardSource,
) -> Iterator[ShardSummary]:
    ids = store.rows.column("id").combine_chunks()
    with Progress(total=sum(len(clips) for records in planned for clips in records), unit="clip", desc="shard") as bar:
        for number, records in enumerate(planned):
            path = folder / shard_name(folder, number)
            if path.name in sound:
                shard = sound[path.name]
                bar.update(shard.clips)
            else:
                shard = write_shard(path, list(_records(store, ids, records, bar)), _shard_quantizer(store))
                remote_link.publish(path)
                shard_integrity.record_shard(folder, shard, source.digest, source.name)
            yield shard


def _records(store: MelStore, ids: Any, records: Sequence[Sequence[int]], bar: Progress) -> Iterator[Record]:
    """Yield the records of a tar. `ids` is the column of the ids of all clips."""
    for clips in records:
        codes = [np.ascontiguousarray(_codes(store, clip).T) for clip in clips]
        frames = np.array([len(clip_codes) for clip_codes in codes], np.int64)
        bar.update(len(clips))
        yield Record(np.concatenate(codes), np.array(clips, np.int64), frames, ids.take(clips).to_pylist())


def _shard_quantizer(store: MelStore) -> Quantizer:
    """Return the quantizer of the shards, which have 8 bits because training reads one byte for each cell."""
    return store.quantizer if store.quantizer.bits == SHARD_BITS else Quantizer()


def _codes(store: MelStore, clip: int) -> NDArray[np.uint8]:
    quantizer = _shard_quantizer(store)
    return store.codes(clip) if quantizer == store.quantizer else quantizer.encode(store.clip(clip))
