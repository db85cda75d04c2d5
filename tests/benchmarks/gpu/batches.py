"""Random clips on the device, and batches and streams of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

from model.training.batch_prefetch import Prefetch
from model.training.config import TrainConfig
from model.training.resident import ResidentClips
from model.training.stream import TrainingBatch, WindowStream

CLIP_FRAMES = 313
WORKERS = 2


def stored_clips(count: int, device: torch.device) -> ResidentClips:
    """Return `count` random clips of 10 s on the device."""
    frames = np.full(count, CLIP_FRAMES, np.int64)
    codes = torch.randint(0, 256, (count * CLIP_FRAMES, 128), dtype=torch.uint8, device=device)
    return ResidentClips(codes, np.cumsum(frames) - frames, frames, np.arange(count))


def one_batch(clips: ResidentClips, config: TrainConfig, device: torch.device) -> TrainingBatch:
    """Return a batch on the device, with its indices in page-locked CPU memory, as in a run."""
    batch = WindowStream(clips, config.batch, config.encoder.window_frames, config.seed).batch(0)
    indices = batch.indices.pin_memory() if device.type == "cuda" else batch.indices
    return TrainingBatch(clips.codes, batch.starts.to(device), indices, 0)


@contextlib.contextmanager
def prefetched(clips: ResidentClips, config: TrainConfig, device: torch.device) -> Iterator[Prefetch]:
    """Yield the prefetch of a run, whose `batch(step)` returns the batch of a step."""
    frames = config.encoder.window_frames
    prefetch = Prefetch(WindowStream(clips, config.batch, frames, config.seed), device, frames, WORKERS, config.steps)
    try:
        yield prefetch
    finally:
        prefetch.close()
