"""Clips like noise on the device, and batches of them: what benchmarks know of streams and batches stands here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

from model.training.config import TrainConfig
from model.training.prefetch import Prefetch
from model.training.resident import ResidentClips
from model.training.stream import TrainingBatch, WindowStream

CLIP_FRAMES = 313
WORKERS = 2


def stored_clips(count: int, device: torch.device) -> ResidentClips:
    """So many clips of 10 s, on the device."""
    frames = np.full(count, CLIP_FRAMES, np.int64)
    codes = torch.randint(0, 256, (count * CLIP_FRAMES, 128), dtype=torch.uint8, device=device)
    return ResidentClips(codes, np.cumsum(frames) - frames, frames, np.arange(count))


def one_batch(clips: ResidentClips, config: TrainConfig, device: torch.device) -> TrainingBatch:
    """A batch, all of it on the device but the indices, which stay where streams leave them, page-locked."""
    made = WindowStream(clips, config.batch, config.encoder.window_frames, config.seed).batch(0)
    indices = made.indices.pin_memory() if device.type == "cuda" else made.indices
    return TrainingBatch(clips.codes, made.starts.to(device), indices, 0)


@contextlib.contextmanager
def fed(clips: ResidentClips, config: TrainConfig, device: torch.device) -> Iterator[Prefetch]:
    """Batches as a run makes them; ask it for `batch(step)`."""
    frames = config.encoder.window_frames
    ahead = Prefetch(WindowStream(clips, config.batch, frames, config.seed), device, frames, WORKERS, config.steps)
    try:
        yield ahead
    finally:
        ahead.close()
