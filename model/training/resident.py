"""Clips that stay in memory, in RAM or on a GPU, as uint8: the shards are streamed through `webdataset` once.

Costs a byte a cell, 14.4 MB an hour of audio.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import webdataset
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from model.training.sources import TrainingShards, stable_indices
from stores.errors import CorruptArtifact
from stores.shards import Record, ShardFacts, ShardSet, decode_record

THREADS = 4
"""Shards that are streamed at once; reading and copying release Python's lock, taking tars apart does not."""
_MEND = "remove {} and run `python -m pipeline.shard` again"


@dataclass(frozen=True)
class ResidentClips:
    """All clips, frame-major, end to end."""

    codes: UInt8[Tensor, "frames M"]
    """Codes of every frame."""
    starts: NDArray[np.int64]
    """First frame of each clip `[clips]`."""
    frames: NDArray[np.int64]
    """Frames of each clip `[clips]`."""
    indices: NDArray[np.int64]
    """Stable index of each clip `[clips]`."""

    @classmethod
    def load(cls, sources: TrainingShards, device: torch.device | None = None) -> ResidentClips:
        """Stream every shard once, onto `device` (the CPU), record by record.

        Raises:
            CorruptArtifact: if a shard or a record cannot be read, or they hold other clips than the index says.
        """
        codes = torch.empty((sources.frames, sources.n_mels), dtype=torch.uint8, device=device)
        found = []
        with tqdm(total=sources.clips, unit="clip", desc="load") as bar:
            for clips in _in_threads(_jobs(sources, codes)):
                bar.update(clips.shape[1])
                found.append(clips)
        frames, indices = np.concatenate(found, axis=1)
        return cls(codes, np.cumsum(frames) - frames, frames, indices)

    def cut(
        self,
        clips: NDArray[np.int64],
        firsts: NDArray[np.int64],
        window_frames: int,  # noqa: ARG002 -- others need it
    ) -> tuple[UInt8[Tensor, "frames M"], Int64[Tensor, " VB"]]:
        """Codes, and where in them the window of each of `clips` `[VB]` starts that begins at frame `firsts` `[VB]`.

        The codes are those of all clips: nothing is cut.
        """
        return self.codes, torch.from_numpy(self.starts[clips] + firsts)


@dataclass(frozen=True)
class _Shard:
    """A tar that is to be loaded."""

    shards: ShardSet
    """The set it is of."""
    facts: ShardFacts
    """What the index says of it."""
    first_index: int
    """Clips of all stores before."""
    room: Tensor
    """Where its codes go."""

    def load(self) -> NDArray[np.int64]:
        """Fill the room; returns frames and stable index of each clip `[2, clips]`."""
        found, filled = [np.zeros((2, 0), np.int64)], 0
        for record in self._records():
            self._require_room(record, self.room[filled:])
            self.room[filled : filled + len(record.codes)] = torch.from_numpy(record.codes)
            filled += len(record.codes)
            found.append(np.stack([record.frames, record.indices]))
        frames, indices = np.concatenate(found, axis=1)
        if (filled, len(frames)) != (self.facts.frames, self.facts.clips):
            raise self._corrupt(f"holds {len(frames)} clips, its index says {self.facts.clips}")
        return np.stack([frames, stable_indices(indices, self.shards, self.first_index)])

    def _records(self) -> Iterator[Record]:
        # every rank reads all shards: which clips are whose is decided batch by batch
        samples = webdataset.WebDataset([str(self._path)], shardshuffle=False, nodesplitter=iter, empty_check=True)
        try:
            yield from map(decode_record, samples)
        except (tarfile.TarError, ValueError, OSError) as error:  # ValueError: no sample at all
            raise self._corrupt(f"cannot be read: {error}") from error

    def _require_room(self, record: Record, room: Tensor) -> None:
        if len(record.codes) > len(room) or record.codes.shape[1] != room.shape[1]:
            have, left = list(record.codes.shape), list(room.shape)
            raise self._corrupt(f"has a record with codes {have} where its index leaves room for {left}")

    @property
    def _path(self) -> Path:
        return self.shards.folder / self.facts.name

    def _corrupt(self, what: str) -> CorruptArtifact:
        return CorruptArtifact(f"{self._path} {what}; {_MEND.format(self.shards.folder)}")


def _jobs(sources: TrainingShards, codes: Tensor) -> Iterator[_Shard]:
    filled = 0
    for shards, first_index in sources.with_first_indices():
        for facts in shards.shards:
            yield _Shard(shards, facts, first_index, codes[filled : filled + facts.frames])
            filled += facts.frames


def _in_threads(jobs: Iterable[_Shard]) -> Iterator[NDArray[np.int64]]:
    """What each job finds, in order; the first error, or Ctrl-C, ends all."""
    threads = ThreadPoolExecutor(THREADS)
    try:
        yield from threads.map(_Shard.load, jobs)
    finally:
        threads.shutdown(cancel_futures=True)
