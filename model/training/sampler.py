"""Which clips stand in which batch: integers only, a function of (seed, step) alone.

An epoch is `clips // batch` steps. What is left over opens the next epoch, so no clip is lost; every epoch is a
permutation of all clips, so no batch holds one twice.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from stores.errors import InvalidInput


class ClipSampler:
    """The clips of every batch of a run.

    Args:
        clips: how many there are.
        batch: clips of a step.
        seed: of the permutations.

    Raises:
        InvalidInput: if there are fewer clips than a batch holds.
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
        """Positions `[batch]` of the clips of `step`, counted from 0; several threads may ask at once."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return self._order(epoch)[place * self._batch : (place + 1) * self._batch]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """All clips as `epoch` has them; the last two epochs stay, since threads at a boundary ask for both."""
        with self._lock:
            if epoch < min(self._epochs):
                self._epochs = {0: self._permutation(0, np.arange(self._clips))}
            while epoch > (last := max(self._epochs)):
                self._epochs = {last: self._epochs[last], last + 1: self._next(last + 1, self._epochs[last])}
            return self._epochs[epoch]

    def _next(self, epoch: int, order: NDArray[np.int64]) -> NDArray[np.int64]:
        used = self.steps_per_epoch * self._batch
        left_over, rest = order[used:], np.sort(order[:used])
        return np.concatenate([left_over, self._permutation(epoch, rest)])

    def _permutation(self, epoch: int, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(clips)


def sample_view_starts(
    room: NDArray[np.int64], rng: np.random.Generator, max_frame_distance: int | None
) -> NDArray[np.int64]:
    """First frames of the two windows of each clip, counted from the clip's start, `[2, B]`.

    The first is uniform. So is the second, by itself; or, with a `max_frame_distance`, uniform among the frames up to
    that far before and after the first, and then moved into the clip, as in the public code.

    Args:
        room: places where a window can start in each clip `[B]`, at least 1.
        rng: where chance comes from.
        max_frame_distance: most frames between the two, or None.
    """
    if max_frame_distance is None:
        return rng.integers(0, room, size=(2, len(room)))
    first = rng.integers(0, room)
    away = rng.integers(-max_frame_distance, max_frame_distance, size=len(room), endpoint=True)
    return np.stack([first, np.clip(first + away, 0, room - 1)])
