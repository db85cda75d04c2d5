"""What a probe sees at each step: which clips, and random bytes that decide what dropout leaves out.

Everything is a function of (seed, batch size, round), so a probe alone sees what it sees in a grid, on any device, and
all probes of one seed and batch size share their draws, as if each had been run by itself with that seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.probes.config import EVALUATE_EVERY_STEPS

_CLIPS, _INPUT, _HIDDEN = range(3)  # three streams, so that none moves what another draws


@dataclass(frozen=True)
class BatchSampler:
    """The draws of one seed and batch size over `clips` training clips."""

    seed: int
    """Of all draws."""
    batch: int
    """Clips of a step, at most `clips`."""
    clips: int
    """Training clips there are."""

    def clips_of(self, round_: int) -> NDArray[np.int64]:
        """Clips of each step of a round, `[steps, batch]`, no clip twice in a step."""
        rng = self._rng(round_, _CLIPS)
        size = min(self.batch, self.clips)
        drawn = [rng.choice(self.clips, size, replace=False, shuffle=False) for _ in range(EVALUATE_EVERY_STEPS)]
        return np.stack(drawn).astype(np.int64)

    def input_bytes(self, round_: int, width: int) -> NDArray[np.uint8]:
        """One random byte for every feature of every clip of a round, `[steps, batch, width]`."""
        return self._bytes(self._rng(round_, _INPUT), width)

    def hidden_bytes(self, round_: int, width: int) -> NDArray[np.uint8]:
        """The same for the units of the hidden layer, `[steps, batch, width]`."""
        return self._bytes(self._rng(round_, _HIDDEN), width)

    def _rng(self, round_: int, kind: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.batch, round_, kind])

    def _bytes(self, rng: np.random.Generator, width: int) -> NDArray[np.uint8]:
        shape = (EVALUATE_EVERY_STEPS, min(self.batch, self.clips), width)
        words = rng.bit_generator.random_raw(-(-int(np.prod(shape)) // 8))  # eight bytes each
        return words.view(np.uint8)[: int(np.prod(shape))].reshape(shape)
