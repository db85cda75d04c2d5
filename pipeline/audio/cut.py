"""The cut of a clip from a decoded recording, which is the same to the sample for every caller."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cut(samples: NDArray[np.float32], rate_hz: int, start_seconds: float, seconds: float) -> NDArray[np.float32]:
    """Return a clip `[T]` of a recording `[T]`, which is shorter if the recording ends before it.

    Args:
        samples: mono samples of the recording.
        rate_hz: sample rate in Hz.
        start_seconds: start of the clip in the recording.
        seconds: length of the clip, or 0 for a clip that lasts until the end of the recording.
    """
    start = round(start_seconds * rate_hz)
    return samples[start : start + round(seconds * rate_hz)] if seconds else samples[start:]
