"""Clips that stay in memory as uint8, in RAM or on a GPU; all shards are streamed once through `webdataset`.

The memory is one byte per cell, which is 14.4 MB per hour of audio.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor
from webdataset.tariterators import group_by_keys, tar_file_expander

from model.training.sources import TrainingShards, stable_indices
from stores import remote_link
from stores.errors import CorruptArtifact
from stores.progress import Progress
from stores.shards import Record, ShardSet, ShardSummary, decode_record

THREADS = 4
"""Number of shards that are streamed at once. Reading and copying release Python's lock. Parsing tars does not."""


@dataclass(frozen=True)
class ResidentClips:
    """All clips in memory, frame-major and end to end."""

    codes: UInt8[Tensor, "frames M"]
    """Codes of all frames."""
    starts: NDArray[np.int64]
    """First frame of each clip `[clips]`."""
    frames: NDArray[np.int64]
    """Number of frames of each clip `[clips]`."""
    indices: NDArray[np.int64]
    """Stable index of each clip `[clips]`."""

    @classmethod
    def load(cls, sources: TrainingShards, device: torch.device | None = None) -> ResidentClips:
        """Stream every shard once to `device` (default: the CPU), record by record.

        Raises:
            CorruptArtifact: a shard or a record cannot be read, or its clips are not those that the index lists.
        """
        codes = torch.empty((sources.frames, sources.n_mels), dtype=torch.uint8, device=device)
        loaded = []
        with Progress(total=sources.clips, unit="clip", desc="load") as bar:
            for clips in _load_in_threads(_jobs(sources, codes)):
                bar.update(clips.shape[1])
                loaded.append(clips)
        frames, indices = np.concatenate(loaded, axis=1)
        return cls(codes, np.cumsum(frames) - frames, frames, indices)

    def cut(
        self,
        clips: NDArray[np.int64],
        firsts: NDArray[np.int64],
        window_frames: int,  # noqa: ARG002 -- required by the protocol ClipSource
    ) -> tuple[UInt8[Tensor, "frames M"], Int64[Tensor, " VB"]]:
        """Return the codes of all clips and the positions of windows in them; nothing is copied.

        Args:
            clips: position of the clip of each window `[VB]`.
            firsts: first frame of each window, counted from the clip's start `[VB]`.
            window_frames: frames of a window.
        """
        return self.codes, torch.from_numpy(self.starts[clips] + firsts)


@dataclass(frozen=True)
class _ShardJob:
    """The loading of one shard into memory."""

    shards: ShardSet
    """Shard set of the shard."""
    summary: ShardSummary
    """Entry of the shard in the index of its set."""
    first_index: int
    """Number of clips of all previous stores."""
    target: Tensor
    """Memory for the codes of the shard."""

    def load(self) -> NDArray[np.int64]:
        """Fill `target`; return the number of frames and the stable index of each clip `[2, clips]`."""
        loaded, filled = [np.zeros((2, 0), np.int64)], 0
        for record in self._records():
            self._require_fit(record, self.target[filled:])
            self.target[filled : filled + len(record.codes)] = torch.from_numpy(record.codes)
            filled += len(record.codes)
            loaded.append(np.stack([record.frames, record.indices]))
        frames, indices = np.concatenate(loaded, axis=1)
        if (filled, len(frames)) != (self.summary.frames, self.summary.clips):
            raise self._corrupt(f"holds {len(frames)} clips, but its index lists {self.summary.clips}")
        return np.stack([frames, stable_indices(indices, self.shards, self.first_index)])

    def _records(self) -> Iterator[Record]:
        try:
            yield from map(decode_record, self._samples())
        except (tarfile.TarError, ValueError, OSError) as error:  # ValueError: the tar has no sample
            raise self._corrupt(f"cannot be read: {error}") from error

    def _samples(self) -> Iterator[dict[str, Any]]:
        if remote_link.url_of(self.shards.folder) is None:
            # every rank reads all shards, because the clips of a rank are chosen batch by batch
            yield from webdataset.WebDataset([str(self._path)], shardshuffle=False, nodesplitter=iter, empty_check=True)
            return
        # webdataset opens no object storage, and reads streams of others
        with remote_link.open_file(self.shards.folder, self.summary.name) as stream:
            source = {"url": str(self._path), "stream": stream}
            yield from group_by_keys(tar_file_expander(iter([source])))

    def _require_fit(self, record: Record, target: Tensor) -> None:
        if len(record.codes) > len(target) or record.codes.shape[1] != target.shape[1]:
            actual, expected = list(record.codes.shape), list(target.shape)
            raise self._corrupt(f"has a record of shape {actual}, but its index leaves memory for {expected}")

    @property
    def _path(self) -> Path:
        return self.shards.folder / self.summary.name

    def _corrupt(self, problem: str) -> CorruptArtifact:
        folder = self.shards.folder
        return CorruptArtifact(f"{self._path} {problem}; remove {folder} and run `python -m pipeline.shard` again")


def _jobs(sources: TrainingShards, codes: Tensor) -> Iterator[_ShardJob]:
    filled = 0
    for shards, first_index in sources.with_first_indices():
        for summary in shards.shards:
            yield _ShardJob(shards, summary, first_index, codes[filled : filled + summary.frames])
            filled += summary.frames


def _load_in_threads(jobs: Iterable[_ShardJob]) -> Iterator[NDArray[np.int64]]:
    """Yield the result of each job in order; the first error, or Ctrl-C, cancels all jobs that have not started."""
    threads = ThreadPoolExecutor(THREADS)
    try:
        yield from threads.map(_ShardJob.load, jobs)
    finally:
        threads.shutdown(cancel_futures=True)
