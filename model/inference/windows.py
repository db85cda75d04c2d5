"""The division of clips into windows, and of windows into rows of features, computed with integers only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from model.encoder.config import EncoderConfig
from model.inference.config import Pool, Tail, WindowSettings
from stores.chunk_grid import pack_in_order
from stores.errors import InvalidInput
from stores.features import Spans
from stores.json_codec import JsonSettings
from stores.mel_spec import MelSpec

TAILS, POOLS = get_args(Tail), get_args(Pool)


@dataclass(frozen=True)
class Windowing(JsonSettings):
    """Settings of windows and pooling, each of which changes the result."""

    hop_frames: int = 96
    """Distance between the starts of two windows in frames."""
    tail: str = "right"
    """`right` adds a window that is aligned to the end of the clip if frames are left after the last whole hop; `drop`
    leaves these frames out, as the public code does."""
    pool: str = "mean"
    """`mean` gives one row for each clip, the mean over its windows; `none` gives one row for each window; `tokens`
    gives one row for each window with all its tokens."""
    window_frames: int = 96
    """Length of a window in frames, which is that of the encoder."""

    @classmethod
    def of(cls, settings: WindowSettings, config: EncoderConfig, spec: MelSpec) -> Windowing:
        """Return the windows that the settings of a command ask for. The hop is the length of a window by default.

        Args:
            settings: the settings.
            config: configuration of the encoder, which has windows of a usual length.
            spec: specification of the mel, by which samples are counted as frames.

        Raises:
            InvalidInput: the window is shorter than a patch, or does not divide into patches.
        """
        window = settings.window_frames or config.window_frames
        if settings.window_samples is not None:
            window = frames_of_samples(settings.window_samples, config, spec)
        replace(config, window_frames=window)  # raises the error about patches
        tail = "drop" if settings.compat == "public" else settings.tail
        return cls(settings.hop or window, tail, settings.pool, window)

    def with_window(self, window_frames: int) -> Windowing:
        """Return the same settings for windows of another length. A hop of one window remains one."""
        hop = window_frames if self.hop_frames == self.window_frames else self.hop_frames
        return replace(self, window_frames=window_frames, hop_frames=hop)

    def with_window_of(self, features: Mapping[str, Any]) -> Windowing:
        """Return the windows that the provenance of features states, as far as it does."""
        stated = {name: features[name] for name in ("hop_frames", "tail") if name in features}
        return replace(self.with_window(self.window_frames), **stated)

    def __post_init__(self) -> None:
        for name, value, choices in (("tail", self.tail, TAILS), ("pool", self.pool, POOLS)):
            if value not in choices:
                raise InvalidInput(f"{name} {value!r} is unknown; use one of {', '.join(choices)}")
        if min(self.hop_frames, self.window_frames) <= 0:
            raise InvalidInput(f"hop {self.hop_frames}, window {self.window_frames} frames: both must be positive")

    def starts(self, clip_frames: int) -> list[int]:
        """Return the first frames of the windows of a clip; a clip that is shorter than a window has one window."""
        return window_starts(clip_frames, self.window_frames, self.hop_frames, self.tail)

    def count_windows(self, clip_frames: Iterable[int]) -> int:
        """Return the number of windows of clips with these lengths in frames."""
        return sum(len(self.starts(frames)) for frames in clip_frames)

    def count_rows(self, clip_frames: Sequence[int]) -> int:
        """Return the number of rows of features of clips with these lengths in frames."""
        return len(clip_frames) if self.pool == "mean" else self.count_windows(clip_frames)

    def parts(self, clip_frames: Sequence[int], max_windows: int) -> list[list[int]]:
        """Return the clips in order, divided into parts of at most `max_windows`; a longer clip is a part of its own.

        Args:
            clip_frames: length of each clip in frames.
            max_windows: largest number of windows of a part.

        Returns:
            The positions of the clips of each part.
        """
        windows = ((clip, len(self.starts(frames))) for clip, frames in enumerate(clip_frames))
        return list(pack_in_order(windows, max_windows))

    def spans(self, clip_frames: Sequence[int], frame_seconds: float) -> Spans:
        """Return the clip, the start and the number of windows of each row of features.

        Args:
            clip_frames: length of each clip in frames.
            frame_seconds: duration of a frame hop in seconds.
        """
        starts = [self.starts(frames) for frames in clip_frames]
        counts = np.array([len(clip_starts) for clip_starts in starts], np.int64)
        padded = np.array(clip_frames) < self.window_frames
        if self.pool == "mean":
            return Spans(np.arange(len(starts)), np.zeros(len(starts)), counts, padded)
        clip = np.repeat(np.arange(len(starts)), counts)
        seconds = np.concatenate([np.array(clip_starts, np.float64) for clip_starts in starts]) * frame_seconds
        return Spans(clip, seconds, np.ones(len(clip), np.int64), padded[clip])


def frames_of_samples(samples: int, config: EncoderConfig, spec: MelSpec) -> int:
    """Return the length of a window in frames as the public code counts it: whole patches of the frames of `samples`.

    50,000 samples have 98 frames, which are 96 for patches of 16 frames.

    Raises:
        InvalidInput: the samples have no whole patch.
    """
    frames = spec.frames_for(samples) // config.patch_frames * config.patch_frames
    if samples <= 0 or not frames:
        needed = (config.patch_frames - 1) * spec.hop_samples
        raise InvalidInput(f"a window needs at least {needed} samples for a patch (got {samples})")
    return frames


def window_starts(clip_frames: int, window_frames: int, hop_frames: int, tail: str = "right") -> list[int]:
    """Return the first frames of the windows of a clip, `hop_frames` apart.

    If frames are left after the last whole hop, the tail `right` adds a window that ends with the clip, and `drop`
    leaves these frames out. A clip that is shorter than a window has one window from frame 0, to be padded with zeros.

    Raises:
        InvalidInput: a number is not positive.
    """
    if min(clip_frames, window_frames, hop_frames) <= 0:
        raise InvalidInput(f"clip {clip_frames}, window {window_frames}, hop {hop_frames} frames: all must be positive")
    last = max(0, clip_frames - window_frames)
    starts = list(range(0, last + 1, hop_frames))
    return starts if starts[-1] == last or tail == "drop" else [*starts, last]
