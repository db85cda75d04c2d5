"""Memory for blocks of decoded samples, which decoders use again for the next block and for the next file.

The system has to clear the pages of new memory, and that took as long as a third of the decoding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK_SAMPLES = 1 << 20
"""Samples of all channels in a block, which are 4 MiB and 12 s of stereo. Every block costs 0.1 ms in later steps."""
_unused: list[NDArray[np.float32]] = []


@contextlib.contextmanager
def borrow() -> Iterator[NDArray[np.float32]]:
    """Yield an array `[BLOCK_SAMPLES]` with arbitrary values, which is the caller's until the body ends.

    There are as many arrays as files have been decoded at the same time.
    """
    try:
        buffer = _unused.pop()
    except IndexError:
        buffer = np.empty(BLOCK_SAMPLES, np.float32)
    try:
        yield buffer
    finally:
        _unused.append(buffer)
