"""Sampling of clips and views: the clips of each batch, and the start frames of their windows.

The clips of a batch are a function of (seed, step) alone, computed with integers. An epoch is `clips // batch` steps.
The clips that an epoch leaves over come first in the next epoch, so no clip is lost. Every epoch is a permutation of
all clips, so no batch contains a clip twice.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from stores.errors import InvalidInput


class ClipSampler:
    """The clips of every batch of a run.

    Args:
        clips: number of clips.
        batch: clips per step.
        seed: seed of the permutations.

    Raises:
        InvalidInput: there are fewer clips than a batch holds.
    """

    def __init__(self, clips: int, batch: int, seed: int) -> None:
        if clips < batch:
            raise InvalidInput(
                f"{clips} clips can be trained on, but a batch holds {batch}: lower --batch to at most {clips}"
            )
        self._clips, self._batch, self._seed = clips, batch, seed
        self.steps_per_epoch = clips // batch
        self._epochs = {0: self._permutation(0, np.arange(clips))}
        self._lock = threading.Lock()

    def batch(self, step: int) -> NDArray[np.int64]:
        """Return the positions `[batch]` of the clips of `step`, counted from 0; safe to call from several threads."""
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        return self._order(epoch)[step_of_epoch * self._batch : (step_of_epoch + 1) * self._batch]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return all clips in the order of `epoch`; two orders are kept, because threads need both at a boundary."""
        with self._lock:
            if epoch < min(self._epochs):
                self._epochs = {0: self._permutation(0, np.arange(self._clips))}
            while epoch > (last := max(self._epochs)):
                self._epochs = {last: self._epochs[last], last + 1: self._next_order(last + 1, self._epochs[last])}
            return self._epochs[epoch]

    def _next_order(self, epoch: int, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the order of `epoch` from the order of the epoch before it."""
        used = self.steps_per_epoch * self._batch
        left_over, rest = order[used:], np.sort(order[:used])
        return np.concatenate([left_over, self._permutation(epoch, rest)])

    def _permutation(self, epoch: int, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(clips)


def sample_view_starts(
    n_starts: NDArray[np.int64], rng: np.random.Generator, max_frame_distance: int | None
) -> NDArray[np.int64]:
    """Return the first frames of the two windows of each clip, counted from the clip's start, `[2, B]`.

    The first start is uniform. Without `max_frame_distance`, the second start is uniform and independent of the first.
    With it, the second start is uniform from `max_frame_distance` frames before to `max_frame_distance` frames after
    the first one, and is then moved into the clip, as in the public code.

    Args:
        n_starts: number of frames at which a window can start in each clip `[B]`, at least 1.
        rng: random number generator.
        max_frame_distance: largest distance between the two starts in frames, or None.
    """
    if max_frame_distance is None:
        return rng.integers(0, n_starts, size=(2, len(n_starts)))
    first = rng.integers(0, n_starts)
    distance = rng.integers(-max_frame_distance, max_frame_distance, size=len(n_starts), endpoint=True)
    return np.stack([first, np.clip(first + distance, 0, n_starts - 1)])
