"""The data stream: batches of windows, cut from clips in GPU memory, in RAM or on disk.

A batch is a function of (seed, step) alone: `ClipSampler` chooses its clips, and view sampling chooses where the two
windows of each clip start. A run that resumes after a kill therefore gets the batches that it would have got without
the kill, and reads no batch again. The ranks share each batch in order, so its clips do not depend on the number of
ranks.

Axes: B clip of the batch, VB window of the batch (first views of all clips, then second views), N frame, M mel bin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

from model.training import ranks
from model.training.sampler import ClipSampler, sample_view_starts
from stores.errors import CorruptArtifact, InvalidInput

VIEWS = 2


@dataclass(frozen=True)
class TrainingBatch:
    """The positions of the windows that a step trains on; windows are cut only on request."""

    codes: UInt8[Tensor, "frames M"]
    """Frame-major codes that contain the windows: those of all clips, or only those of this batch."""
    starts: Int64[Tensor, " VB"]
    """First frame in `codes` of the first window of each clip, then of the second window of each clip."""
    indices: Int64[Tensor, " B"]
    """Stable index of each clip, on the CPU, where objectives check it."""
    epoch: int = 0
    """Number of complete passes over all clips before this batch."""

    @classmethod
    def from_windows(
        cls, windows: UInt8[Tensor, "VB N M"], indices: Int64[Tensor, " B"], epoch: int = 0
    ) -> TrainingBatch:
        """Return a batch of windows that are already cut."""
        starts = windows.shape[1] * torch.arange(len(windows), device=windows.device)
        return cls(windows.flatten(0, 1), starts, indices, epoch)

    def windows(self, frames: int, out: UInt8[Tensor, "VB N M"] | None = None) -> UInt8[Tensor, "VB N M"]:
        """Cut all windows of `frames` frames, into `out` if it is given."""
        # One row per window copies 12 kB at once, which is eight times as fast as 96 rows of 128 bytes.
        all_windows = self.codes.unfold(0, frames, 1).transpose(1, 2)
        return torch.index_select(all_windows, 0, self.starts, out=out)


@runtime_checkable
class BatchSource(Protocol):
    """An object that returns the batch of any step."""

    def batch(self, step: int) -> TrainingBatch:
        """Return this rank's share of the batch of `step`, counted from 0."""


@runtime_checkable
class ClipSource(Protocol):
    """Clips from which windows can be cut."""

    @property
    def frames(self) -> NDArray[np.int64]:
        """Number of frames of each clip `[clips]`."""

    @property
    def indices(self) -> NDArray[np.int64]:
        """Stable index of each clip `[clips]`."""

    def cut(self, clips: NDArray[np.int64], firsts: NDArray[np.int64], window_frames: int) -> tuple[Tensor, Tensor]:
        """Return `codes` and `starts` of a batch: the windows of `clips` `[VB]` that start at frame `firsts` `[VB]`."""


class WindowStream:
    """A stream of batches with two windows of each clip.

    Args:
        clips: clips of at least `window_frames` frames each.
        batch: clips per step, counted over all ranks. The stream returns this rank's share of them.
        window_frames: frames of a window.
        seed: seed of the order of clips and of the starts of windows.
        max_frame_distance: largest distance between the starts of a clip's two windows in frames, or None for
            independent starts.

    Raises:
        InvalidInput: there are fewer clips than a batch holds, a clip is shorter than a window, or the ranks cannot
            share a batch.
        CorruptArtifact: two clips have the same stable index.
    """

    def __init__(
        self, clips: ClipSource, batch: int, window_frames: int, seed: int, max_frame_distance: int | None = None
    ) -> None:
        if clips.frames.min() < window_frames:
            raise InvalidInput(
                f"a clip has {clips.frames.min()} frames, but a window has {window_frames}; ingest longer "
                "recordings only, or train with a smaller --window-frames"
            )
        if (distinct := len(np.unique(clips.indices))) < len(clips.indices):
            raise CorruptArtifact(
                f"{len(clips.indices)} clips share {distinct} stable indices; remove the shards and run "
                "`python -m pipeline.shard` again"
            )
        self.clips = clips
        self.sampler = ClipSampler(len(clips.frames), batch, seed)
        self._window_frames, self._seed, self._max_frame_distance = window_frames, seed, max_frame_distance
        self._local = ranks.local_slice(batch)

    def batch(self, step: int) -> TrainingBatch:
        """Return this rank's share of the batch of `step`, counted from 0; sampling covers the batch of all ranks."""
        clips = self.sampler.batch(step)
        rng = np.random.default_rng((self._seed, step, 1))
        n_starts = self.clips.frames[clips] - self._window_frames + 1
        firsts = sample_view_starts(n_starts, rng, self._max_frame_distance)[:, self._local]
        clips = clips[self._local]
        codes, starts = self.clips.cut(np.tile(clips, VIEWS), firsts.ravel(), self._window_frames)
        indices = torch.from_numpy(self.clips.indices[clips])
        return TrainingBatch(codes, starts, indices, step // self.sampler.steps_per_epoch)
