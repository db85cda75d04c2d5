"""A clip cut out of a decoded recording, the same to the sample wherever it is done."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cut(samples: NDArray[np.float32], rate_hz: int, start_seconds: float, seconds: float) -> NDArray[np.float32]:
    """The clip `[T]` of a recording `[T]`, shorter where the recording ends.

    Args:
        samples: mono.
        rate_hz: their rate.
        start_seconds: where the clip starts.
        seconds: its length; 0 for all that follows the start.
    """
    start = round(start_seconds * rate_hz)
    return samples[start : start + round(seconds * rate_hz)] if seconds else samples[start:]
