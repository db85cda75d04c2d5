"""Sampling of batches and dropout for the probes.

Clips and random bytes are a function of (seed, batch size, interval). A probe that is trained alone therefore gets the
same batches as in a grid, on any device. All probes with the same seed and batch size share them, as if each had been
trained by itself with that seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.probes.config import EVALUATE_EVERY_STEPS

_CLIPS, _INPUT, _HIDDEN = range(3)  # separate random streams, so that none depends on how much another one draws


@dataclass(frozen=True)
class BatchSampler:
    """The batches and random bytes of one seed and batch size."""

    seed: int
    """Seed of everything that is drawn."""
    batch: int
    """Clips per step. All clips are used if there are fewer."""
    clips: int
    """Number of training clips."""

    def clip_indices(self, interval: int) -> NDArray[np.int64]:
        """Return the clips of each step of an interval, `[steps, batch]`. No clip occurs twice in a step."""
        rng = self._rng(interval, _CLIPS)
        size = min(self.batch, self.clips)
        steps = [rng.choice(self.clips, size, replace=False, shuffle=False) for _ in range(EVALUATE_EVERY_STEPS)]
        return np.stack(steps).astype(np.int64)

    def input_bytes(self, interval: int, width: int) -> NDArray[np.uint8]:
        """Return a random byte for each feature of each clip of an interval, `[steps, batch, width]`."""
        return self._bytes(self._rng(interval, _INPUT), width)

    def hidden_bytes(self, interval: int, width: int) -> NDArray[np.uint8]:
        """Return a random byte for each hidden unit and each clip of an interval, `[steps, batch, width]`."""
        return self._bytes(self._rng(interval, _HIDDEN), width)

    def _rng(self, interval: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.batch, interval, stream])

    def _bytes(self, rng: np.random.Generator, width: int) -> NDArray[np.uint8]:
        shape = (EVALUATE_EVERY_STEPS, min(self.batch, self.clips), width)
        words = rng.bit_generator.random_raw(-(-int(np.prod(shape)) // 8))  # eight bytes each
        return words.view(np.uint8)[: int(np.prod(shape))].reshape(shape)
