"""The task that writes one tar of a shard set, in this process or in a worker of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stores import remote_link, shard_integrity
from stores.mel_store import MelStore
from stores.quantize import Quantizer
from stores.shards import Record, ShardSummary, write_shard

SHARD_BITS = 8
"""Bits of a code in a shard, whatever type the store has."""


@dataclass(frozen=True)
class RecordPlan:
    """The clips of a record, and where the store holds them."""

    indices: NDArray[np.int64]
    """Stable index of each clip `[clips]`."""
    starts: NDArray[np.int64]
    """First frame of each clip in the store `[clips]`."""
    frames: NDArray[np.int64]
    """Frames of each clip `[clips]`."""
    ids: tuple[str, ...]
    """Id of each clip."""


@dataclass(frozen=True)
class TarTask:
    """Everything that a process needs to write one tar. It takes 60 bytes for each clip."""

    store: Path
    """Path of the mel store."""
    path: Path
    """Path of the tar."""
    records: tuple[RecordPlan, ...]
    """Records of the tar, in order."""
    made_from: str
    """Digest of everything that determines the bytes of the tar."""
    store_name: str
    """Name of the folder of the store."""


def write(task: TarTask, report_progress: Callable[[int], object] = int) -> ShardSummary:
    """Write a tar, record that it is finished, and return its summary. Writing it twice leaves the same bytes.

    Args:
        task: the tar.
        report_progress: function that is called with the number of clips of each record that was read.
    """
    store = MelStore.open_without_manifest(task.store)
    shard = write_shard(task.path, list(_records(store, task, report_progress)), shard_quantizer(store))
    remote_link.publish(task.path)
    shard_integrity.record_shard(task.path.parent, shard, task.made_from, task.store_name)
    return shard


def shard_quantizer(store: MelStore) -> Quantizer:
    """Return the quantizer of the shards, which have 8 bits because training reads one byte for each cell."""
    return store.quantizer if store.quantizer.bits == SHARD_BITS else Quantizer()


def _records(store: MelStore, task: TarTask, report_progress: Callable[[int], object]) -> Iterator[Record]:
    for plan in task.records:
        places = zip(plan.starts.tolist(), plan.frames.tolist(), strict=True)
        codes = [np.ascontiguousarray(_codes(store, start, start + frames).T) for start, frames in places]
        yield Record(np.concatenate(codes), plan.indices, plan.frames, plan.ids)
        report_progress(len(plan.indices))


def _codes(store: MelStore, start_frame: int, stop_frame: int) -> NDArray[np.uint8]:
    """Return the codes of a clip as shards hold them, `[n_mels, frames]`."""
    codes, quantizer = store.read_frames(start_frame, stop_frame), shard_quantizer(store)
    return codes if quantizer == store.quantizer else quantizer.encode(store.quantizer.decode(codes))
