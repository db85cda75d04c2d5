"""Background prefetch: threads prepare the next batches and copy them to the device while it computes.

Threads are used instead of processes, because cutting and reading release Python's lock, nothing is copied between
processes, and clips that stay on the GPU need no copy. If the device is a GPU and the codes are elsewhere, the windows
are cut into page-locked memory and copied on a separate stream. The training stream waits for the copy, and the host
never waits. The threads allocate memory, so a CUDA graph that is captured at the same time must be captured with
`capture_error_mode="thread_local"`.

A batch is a function of its step, so the number of threads changes only the speed.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch

from model.training.stream import BatchSource, TrainingBatch
from stores.errors import InvalidInput

BATCHES_PER_THREAD = 2
"""Number of batches that are prepared in advance for each thread."""


class Prefetch:
    """The batches of another stream, prepared in advance and on the device.

    Args:
        batches: stream of the batches, which several threads use at once.
        device: device on which the batches are needed.
        window_frames: frames of a window.
        workers: number of threads. With 0, each batch is prepared when it is requested.
        steps: steps of the run. No later batch is prepared in advance.

    Raises:
        InvalidInput: `workers` is negative.
    """

    def __init__(
        self, batches: BatchSource, device: torch.device, window_frames: int, workers: int, steps: int
    ) -> None:
        if workers < 0:
            raise InvalidInput(f"--workers must be at least 0 (got {workers})")
        self._batches, self._window_frames, self._steps = batches, window_frames, steps
        self._copy_stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._depth = BATCHES_PER_THREAD * workers
        self._threads = ThreadPoolExecutor(workers, "batches") if workers else None
        self._pending: dict[int, Future[_Transfer]] = {}

    def batch(self, step: int) -> TrainingBatch:
        """Return the batch of `step` as soon as it is ready; an error in its preparation is raised here."""
        return _receive(self._prepare(step) if self._threads is None else self._prefetched(step, self._threads))

    def close(self) -> None:
        """Cancel all pending batches and wait until the threads have ended."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def _prefetched(self, step: int, threads: ThreadPoolExecutor) -> _Transfer:
        """Return the batch of `step`, and schedule the batches after it."""
        scheduled = range(step, max(step + 1, min(step + 1 + self._depth, self._steps)))
        for unneeded in self._pending.keys() - set(scheduled):
            self._pending.pop(unneeded).cancel()
        for number in scheduled:
            if number not in self._pending:
                self._pending[number] = threads.submit(self._prepare, number)
        return self._pending.pop(step).result()

    def _prepare(self, step: int) -> _Transfer:
        if self._copy_stream is None:
            return _Transfer(self._batches.batch(step))
        with torch.cuda.stream(self._copy_stream):  # this also sets the device, which is GPU 0 in a new thread
            return _send(self._batches.batch(step), self._window_frames, self._copy_stream)


@dataclass(frozen=True)
class _Transfer:
    """A batch that may still be on its way to the device."""

    batch: TrainingBatch
    """Batch on the device."""
    arrived: torch.cuda.Event | None = None
    """Event at the end of the copies, or None if there are no copies."""


def pack(batch: TrainingBatch, frames: int, *, pinned: bool) -> TrainingBatch:
    """Return a batch of the same windows, of `frames` frames each, whose codes hold these windows only, end to end."""
    if len(batch.codes) == len(batch.starts) * frames:
        return batch
    shape = (len(batch.starts), frames, batch.codes.shape[1])
    windows = batch.windows(frames, out=torch.empty(shape, dtype=torch.uint8, pin_memory=pinned))
    return TrainingBatch.from_windows(windows, batch.indices, batch.epoch)


def _send(batch: TrainingBatch, frames: int, copy_stream: torch.cuda.Stream) -> _Transfer:
    """Start to copy a batch to the device; codes that are already on the device stay as they are."""
    packed = batch if batch.codes.is_cuda else pack(batch, frames, pinned=True)
    codes, starts = (
        tensor if tensor.is_cuda else tensor.pin_memory().to(copy_stream.device, non_blocking=True)
        for tensor in (packed.codes, packed.starts)
    )
    return _Transfer(TrainingBatch(codes, starts, batch.indices.pin_memory(), batch.epoch), copy_stream.record_event())


def _receive(transfer: _Transfer) -> TrainingBatch:
    """Return the batch for use on the current stream; this stream waits for the copies, and the host does not."""
    batch = transfer.batch
    if transfer.arrived is not None:
        training_stream = torch.cuda.current_stream(batch.codes.device)
        training_stream.wait_event(transfer.arrived)
        for tensor in (batch.codes, batch.starts):
            # The memory belongs to the copying stream, which must not reuse it before the training stream has read it.
            tensor.record_stream(training_stream)
    return batch
