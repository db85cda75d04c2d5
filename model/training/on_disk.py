"""Clips that stay in their tars: each window is read where it lies. For collections larger than memory.

The headers of all tars are walked once. A batch costs one read of 12,288 bytes a window, and opens each tar that it
touches once; how fast that is, the disk decides, or the page cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

from model.training.sources import TrainingShards, stable_indices
from stores.shard_tar import ShardTar


@dataclass(frozen=True)
class ClipsOnDisk:
    """Where all clips lie."""

    tars: tuple[ShardTar, ...]
    """Of all shard sets, in order."""
    places: NDArray[np.int64]
    """Number of the tar of each clip `[clips]`."""
    offsets: NDArray[np.int64]
    """First byte of each clip in its tar `[clips]`."""
    frames: NDArray[np.int64]
    """Frames of each clip `[clips]`."""
    indices: NDArray[np.int64]
    """Stable index of each clip `[clips]`."""
    n_mels: int
    """Mel bins of a frame."""
    pinned: bool = False
    """Whether batches are read into page-locked memory, from where a GPU fetches them by itself."""

    @classmethod
    def find(cls, sources: TrainingShards, *, pinned: bool = False) -> ClipsOnDisk:
        """Walk every tar once.

        Raises:
            CorruptArtifact: if a tar cannot be read, or holds other clips than its index says.
        """
        tars, indices = [], []
        for shards, first in sources.with_first_indices():
            for facts, path in zip(shards.shards, shards.paths, strict=True):
                tar = ShardTar.walk(path, facts, sources.n_mels)
                tars.append(tar)
                indices.append(stable_indices(tar.indices, shards, first))
        return cls(
            tuple(tars),
            np.repeat(np.arange(len(tars)), [len(tar.indices) for tar in tars]),
            np.concatenate([tar.offsets for tar in tars]),
            np.concatenate([tar.frames for tar in tars]),
            np.concatenate(indices),
            sources.n_mels,
            pinned,
        )

    def cut(
        self, clips: NDArray[np.int64], firsts: NDArray[np.int64], window_frames: int
    ) -> tuple[UInt8[Tensor, "frames M"], Int64[Tensor, " VB"]]:
        """The windows of `clips` `[VB]` that begin at frame `firsts` `[VB]`, end to end, and where each starts.

        Raises:
            CorruptArtifact: if a tar was changed or taken away.
        """
        shape = (len(clips), window_frames, self.n_mels)
        codes = torch.empty(shape, dtype=torch.uint8, pin_memory=self.pinned)
        self._read(self.places[clips], self.offsets[clips] + self.n_mels * firsts, codes.numpy())
        return codes.flatten(0, 1), window_frames * torch.arange(len(clips))

    def _read(self, places: NDArray[np.int64], offsets: NDArray[np.int64], windows: NDArray[np.uint8]) -> None:
        """Tar by tar, and forwards in each."""
        order = np.lexsort((offsets, places))
        for rows in np.split(order, np.flatnonzero(np.diff(places[order])) + 1):
            self.tars[places[rows[0]]].read(offsets[rows].tolist(), [windows[row] for row in rows])
