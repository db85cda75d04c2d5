"""Where the windows of a clip lie; integers only."""

from __future__ import annotations

from stores.errors import InvalidInput


def window_starts(clip_frames: int, window_frames: int, hop_frames: int) -> list[int]:
    """First frames of the windows that cover a clip, every `hop_frames`; the last one is aligned to the clip's end.

    A clip shorter than a window gets one window from frame 0, to be padded with zeros.

    Raises:
        InvalidInput: if a number is not positive.
    """
    if min(clip_frames, window_frames, hop_frames) <= 0:
        raise InvalidInput(f"clip {clip_frames}, window {window_frames}, hop {hop_frames} frames: all must be positive")
    last = max(0, clip_frames - window_frames)
    starts = list(range(0, last + 1, hop_frames))
    return starts if starts[-1] == last else [*starts, last]
