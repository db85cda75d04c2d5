"""Clips -> batches of windows, from wherever the clips stay.

A batch is a function of (seed, step) alone: which clips (`ClipOrder`), and where in each the two windows start. So a
run that goes on after a kill sees what it would have seen, and nothing that was passed is read again. Ranks share a
batch in order, so its clips do not depend on how many there are.

Axes: B clip of the batch, VB window of the batch (first views of all clips, then second ones), N frame, M mel bin.
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
    """What one step trains on: where its windows lie. Nothing is cut until somebody asks for it."""

    codes: UInt8[Tensor, "frames M"]
    """Frame-major codes that hold the windows: all clips, or no more than this batch."""
    starts: Int64[Tensor, " VB"]
    """First frame in `codes` of the first windows of all clips, then of the second ones, in the same order of clips."""
    indices: Int64[Tensor, " B"]
    """Stable index of each clip, on the CPU, as objectives want it."""
    epoch: int = 0
    """Passes over all clips before this one."""

    @classmethod
    def of_windows(
        cls, windows: UInt8[Tensor, "VB N M"], indices: Int64[Tensor, " B"], epoch: int = 0
    ) -> TrainingBatch:
        """A batch of windows that are cut already."""
        starts = windows.shape[1] * torch.arange(len(windows), device=windows.device)
        return cls(windows.flatten(0, 1), starts, indices, epoch)

    def windows(self, frames: int, out: UInt8[Tensor, "VB N M"] | None = None) -> UInt8[Tensor, "VB N M"]:
        """Cut all windows, `frames` long each, into `out` if given."""
        # a row per window: 12 kB are copied at once, eight times as fast as 96 rows of 128 bytes
        every = self.codes.unfold(0, frames, 1).transpose(1, 2)
        return torch.index_select(every, 0, self.starts, out=out)


@runtime_checkable
class BatchSource(Protocol):
    """What gives the batch of any step."""

    def batch(self, step: int) -> TrainingBatch:
        """The part of this rank of the batch of `step`, counted from 0."""


@runtime_checkable
class ClipSource(Protocol):
    """What windows are cut from."""

    @property
    def frames(self) -> NDArray[np.int64]:
        """Frames of each clip `[clips]`."""

    @property
    def indices(self) -> NDArray[np.int64]:
        """Stable index of each clip `[clips]`."""

    def cut(self, clips: NDArray[np.int64], firsts: NDArray[np.int64], window_frames: int) -> tuple[Tensor, Tensor]:
        """`codes` and `starts` of a batch: the windows of `clips` `[VB]` that begin at frame `firsts` `[VB]`."""


class WindowStream:
    """Two windows each of the clips of a batch.

    Args:
        clips: what to cut from; each at least `window_frames` long.
        batch: clips of a step, of all ranks together; this rank's stream gives its part of them.
        window_frames: frames of a window.
        seed: of order and starts.
        max_frame_distance: most frames between the starts of the two; None: they start independently.

    Raises:
        InvalidInput: fewer clips than a batch holds, or one shorter than a window, or ranks that cannot share a batch.
        CorruptArtifact: two clips with one stable index.
    """

    def __init__(
        self, clips: ClipSource, batch: int, window_frames: int, seed: int, max_frame_distance: int | None = None
    ) -> None:
        if clips.frames.min() < window_frames:
            raise InvalidInput(
                f"a clip has {clips.frames.min()} frames, a window {window_frames}; leave out shorter clips"
            )
        if (distinct := len(np.unique(clips.indices))) < len(clips.indices):
            raise CorruptArtifact(f"{len(clips.indices)} clips share {distinct} stable indices; make the shards again")
        self.clips = clips
        self.order = ClipSampler(len(clips.frames), batch, seed)
        self._window_frames, self._seed, self._max_frame_distance = window_frames, seed, max_frame_distance
        self._mine = ranks.part_of(batch)

    def batch(self, step: int) -> TrainingBatch:
        """The part of this rank of the batch of `step`, counted from 0; drawn as if it were one rank, then parted."""
        chosen = self.order.batch(step)
        rng = np.random.default_rng((self._seed, step, 1))
        room = self.clips.frames[chosen] - self._window_frames + 1
        firsts = sample_view_starts(room, rng, self._max_frame_distance)[:, self._mine]
        chosen = chosen[self._mine]
        codes, starts = self.clips.cut(np.tile(chosen, VIEWS), firsts.ravel(), self._window_frames)
        indices = torch.from_numpy(self.clips.indices[chosen])
        return TrainingBatch(codes, starts, indices, step // self.order.steps_per_epoch)
