"""Which clips stand in which batch: integers only, a function of (seed, step) alone.

An epoch is `clips // batch` steps. What is left over opens the next epoch, so no clip is lost; every epoch is a
permutation of all clips, so no batch holds one twice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stores.errors import InvalidInput


class ClipOrder:
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
        self._epoch, self._order = 0, self._permutation(0, np.arange(clips))

    def batch(self, step: int) -> NDArray[np.int64]:
        """Positions `[batch]` of the clips of `step`, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        self._go_to(epoch)
        return self._order[place * self._batch : (place + 1) * self._batch]

    def _go_to(self, epoch: int) -> None:
        if epoch < self._epoch:
            self._epoch, self._order = 0, self._permutation(0, np.arange(self._clips))
        while self._epoch < epoch:
            self._epoch += 1
            used = self.steps_per_epoch * self._batch
            left_over, rest = self._order[used:], np.sort(self._order[:used])
            self._order = np.concatenate([left_over, self._permutation(self._epoch, rest)])

    def _permutation(self, epoch: int, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(clips)
