"""Batches made ahead, by threads, and brought to the device while it works on the ones before.

Threads, not processes: cutting and reading release Python's lock, nothing is copied between processes, and what stays
on the GPU is there already. On a GPU, codes that lie elsewhere are cut into page-locked memory and copied on a stream
of their own; the training stream waits for the copy, the host never does. A CUDA graph that is captured while threads
make batches must be captured with `capture_error_mode="thread_local"`: they allocate memory.

A batch is a function of its step, so how many threads there are changes nothing but time.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch

from model.training.stream import BatchSource, TrainingBatch
from stores.errors import InvalidInput

AHEAD = 2
"""Batches that are made ahead for each thread."""


class Prefetch:
    """The batches of another stream, on the device.

    Args:
        batches: where they come from; several threads ask it at once.
        device: where they are needed.
        window_frames: frames of a window.
        workers: threads; 0: each batch is made when it is asked for.
        steps: of the run; none beyond is made.

    Raises:
        InvalidInput: fewer than no threads.
    """

    def __init__(
        self, batches: BatchSource, device: torch.device, window_frames: int, workers: int, steps: int
    ) -> None:
        if workers < 0:
            raise InvalidInput(f"{workers} workers; give --workers 0 or more")
        self._batches, self._window_frames, self._steps = batches, window_frames, steps
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._ahead = AHEAD * workers
        self._threads = ThreadPoolExecutor(workers, "batches") if workers else None
        self._coming: dict[int, Future[_Sent]] = {}

    def batch(self, step: int) -> TrainingBatch:
        """The batch of `step`, waiting for it if need be; an error in making it is raised here."""
        return _received(self._make(step) if self._threads is None else self._made_ahead(step, self._threads))

    def close(self) -> None:
        """Make no more; returns when the threads have ended."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def _made_ahead(self, step: int, threads: ThreadPoolExecutor) -> _Sent:
        wanted = range(step, max(step + 1, min(step + 1 + self._ahead, self._steps)))
        for passed in self._coming.keys() - set(wanted):
            self._coming.pop(passed).cancel()
        for one in wanted:
            if one not in self._coming:
                self._coming[one] = threads.submit(self._make, one)
        return self._coming.pop(step).result()

    def _make(self, step: int) -> _Sent:
        if self._copies is None:
            return _Sent(self._batches.batch(step))
        with torch.cuda.stream(self._copies):  # and on its device: a new thread is on GPU 0
            return _sent(self._batches.batch(step), self._window_frames, self._copies)


@dataclass(frozen=True)
class _Sent:
    """A batch that is on its way."""

    batch: TrainingBatch
    """On the device."""
    arrived: torch.cuda.Event | None = None
    """When its copies are done; None if there are none."""


def packed(batch: TrainingBatch, frames: int, *, pinned: bool) -> TrainingBatch:
    """The same windows, `frames` long, end to end in codes of their own; those of a batch that is so stay."""
    if len(batch.codes) == len(batch.starts) * frames:
        return batch
    shape = (len(batch.starts), frames, batch.codes.shape[1])
    windows = batch.windows(frames, out=torch.empty(shape, dtype=torch.uint8, pin_memory=pinned))
    return TrainingBatch.of_windows(windows, batch.indices, batch.epoch)


def _sent(batch: TrainingBatch, frames: int, copies: torch.cuda.Stream) -> _Sent:
    """Begin to copy what is not on the device; codes that are there stay whole."""
    whole = batch if batch.codes.is_cuda else packed(batch, frames, pinned=True)
    codes, starts = (
        one if one.is_cuda else one.pin_memory().to(copies.device, non_blocking=True)
        for one in (whole.codes, whole.starts)
    )
    return _Sent(TrainingBatch(codes, starts, batch.indices.pin_memory(), batch.epoch), copies.record_event())


def _received(sent: _Sent) -> TrainingBatch:
    """The batch, for what the device does from now on: that waits for the copies, the host does not."""
    batch = sent.batch
    if sent.arrived is not None:
        training = torch.cuda.current_stream(batch.codes.device)
        training.wait_event(sent.arrived)
        for one in (batch.codes, batch.starts):
            one.record_stream(training)  # its memory is of the copying stream, which must not have it back before
    return batch
