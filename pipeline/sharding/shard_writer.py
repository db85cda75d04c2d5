"""The shard writer: select the training clips of a mel store, shuffle them once, and write many to each record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.ingestion import shared_recordings
from pipeline.sharding import tar_task
from pipeline.sharding.tar_task import RecordPlan, TarTask, shard_quantizer
from stores import shard_integrity
from stores.chunk_grid import pack_in_order
from stores.digest import digest
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.manifest import ClipRow, ClipRows
from stores.mel_store import MelStore
from stores.progress import Progress
from stores.shards import ShardSet, ShardSummary, remove_shards, shard_name

WINDOW_FRAMES = 96
"""Length of the shortest training clip in frames, which is one window."""
TRAINING_SPLITS = ("", "train")
"""Splits whose clips are written to shards."""
NumberedTask = tuple[int, TarTask]
NumberedShard = tuple[int, ShardSummary]
TaskRunner = Callable[[Callable[[NumberedTask], NumberedShard], Iterable[NumberedTask]], Iterator[NumberedShard]]
"""Function that runs a function for each task and yields the results in any order."""


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


def write_shards(
    store: MelStore, folder: Path, plan: ShardPlan, *, trust_sizes: bool = True, run_tasks: TaskRunner | None = None
) -> ShardSet:
    """Write all shards of `store` into `folder`, then their index.

    Sound shards of the same store and plan are kept. Damaged shards and all others are written again.

    Args:
        store: mel store with the clips.
        folder: folder of the shard set.
        plan: the shuffle and the sizes of records and shards.
        trust_sizes: treat a shard of a finished set as sound if it has the recorded size; otherwise read all its bytes.
        run_tasks: function that runs tasks and yields their results in any order (default: this process writes all).

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
        tuple(_write_tars(store, folder, plan_shards(clips, plan), sound, source, run_tasks)),
        left_out,
        store_digest=store_digest,
        store_clips=len(store),
        spec=store.spec,
        quantizer=shard_quantizer(store),
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
    run_tasks: TaskRunner | None,
) -> list[ShardSummary]:
    """Write the tars that are not sound, and return the summaries of all in order."""
    names = [shard_name(folder, number) for number in range(len(planned))]
    written = {number: sound[name] for number, name in enumerate(names) if name in sound}
    missing = [number for number in range(len(planned)) if number not in written]
    tasks = _tasks(store, folder, planned, missing, source)
    total = sum(len(clips) for records in planned for clips in records)
    done = sum(shard.clips for shard in written.values())
    with Progress(total=total, initial=done, unit="clip", desc="shard") as bar:
        if run_tasks is None:
            written |= {number: tar_task.write(task, bar.update) for number, task in tasks}
        else:
            for number, shard in run_tasks(_write_numbered, tasks):
                written[number] = shard
                bar.update(shard.clips)
    return [written[number] for number in range(len(planned))]


def _write_numbered(numbered: NumberedTask) -> NumberedShard:
    return numbered[0], tar_task.write(numbered[1])


def _tasks(
    store: MelStore,
    folder: Path,
    planned: Sequence[Sequence[Sequence[int]]],
    numbers: Iterable[int],
    source: ShardSource,
) -> Iterator[NumberedTask]:
    ids = store.rows.column("id").combine_chunks()
    starts, frames = (store.rows.numbers(name) for name in ("start_frame", "frames"))
    for number in numbers:
        records = tuple(
            RecordPlan(np.array(clips, np.int64), starts[clips], frames[clips], tuple(ids.take(clips).to_pylist()))
            for clips in planned[number]
        )
        path = (folder / shard_name(folder, number)).absolute()
        yield number, TarTask(store.path.absolute(), path, records, source.digest, source.name)
