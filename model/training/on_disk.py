"""Clips that stay in their tars, for collections larger than memory; each window is read directly from its tar.

The headers of all tars are scanned once. A batch reads 12,288 bytes for each window and opens each tar that it needs
once. The speed depends on the disk or on the page cache.
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
    """The positions of all clips in the tars."""

    tars: tuple[ShardTar, ...]
    """Tars of all shard sets, in order."""
    tar_numbers: NDArray[np.int64]
    """Position in `tars` of the tar of each clip `[clips]`."""
    offsets: NDArray[np.int64]
    """Position of the first byte of each clip in its tar `[clips]`."""
    frames: NDArray[np.int64]
    """Number of frames of each clip `[clips]`."""
    indices: NDArray[np.int64]
    """Stable index of each clip `[clips]`."""
    n_mels: int
    """Number of mel bins of a frame."""
    pinned: bool = False
    """True if batches are read into page-locked memory, from which a GPU can copy on its own."""

    @classmethod
    def open(cls, sources: TrainingShards, *, pinned: bool = False) -> ClipsOnDisk:
        """Scan the headers of every tar once.

        Raises:
            CorruptArtifact: a tar cannot be read, or its clips are not those that the index lists.
        """
        tars, indices = [], []
        for shards, first in sources.with_first_indices():
            for summary, path in zip(shards.shards, shards.paths, strict=True):
                tar = ShardTar.scan(path, summary, sources.n_mels)
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
        """Read windows; return their codes end to end, and the position of each window in these codes.

        Args:
            clips: position of the clip of each window `[VB]`.
            firsts: first frame of each window, counted from the clip's start `[VB]`.
            window_frames: frames of a window.

        Raises:
            CorruptArtifact: a tar was changed or removed.
        """
        shape = (len(clips), window_frames, self.n_mels)
        codes = torch.empty(shape, dtype=torch.uint8, pin_memory=self.pinned)
        self._read_windows(self.tar_numbers[clips], self.offsets[clips] + self.n_mels * firsts, codes.numpy())
        return codes.flatten(0, 1), window_frames * torch.arange(len(clips))

    def _read_windows(
        self, tar_numbers: NDArray[np.int64], offsets: NDArray[np.int64], windows: NDArray[np.uint8]
    ) -> None:
        """Fill `windows`, tar by tar and in the order of the bytes in each tar."""
        order = np.lexsort((offsets, tar_numbers))
        for rows in np.split(order, np.flatnonzero(np.diff(tar_numbers[order])) + 1):
            self.tars[tar_numbers[rows[0]]].read(offsets[rows].tolist(), [windows[row] for row in rows])
