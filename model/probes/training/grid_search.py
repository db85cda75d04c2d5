"""The search: all probes of a grid on one task, chosen on validation. Finished stacks are kept, so it can go on.

On a CPU a stack is the probes that read the same numbers (one seed, batch size, depth, standardisation, dropout), and
every core trains a stack of its own; on a GPU it is all of one seed, batch size and depth.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from model.probes.config import Grid, ProbeConfig
from model.probes.probe import Probe
from model.probes.task import Task
from model.probes.training import cache
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.batched_trainer import BatchedTrainer, TrainedProbe
from model.probes.training.inputs import probe_clips
from stores.errors import InvalidInput


@dataclass(frozen=True)
class Winner:
    """The probe that validation chose, and what became of all."""

    trained: TrainedProbe
    """The best."""
    head: Probe
    """Its weights and standardiser; without facts."""
    every: list[TrainedProbe]
    """All probes of the grid, in its order."""


@dataclass(frozen=True)
class GridSearch:
    """How probes are trained."""

    device: torch.device
    """Where."""
    precision: torch.dtype
    """Of the products of a hidden layer: float32 or bfloat16."""
    folder: Path | None = None
    """Where finished stacks are kept; None keeps nothing."""
    label: str = ""
    """Of the progress bar; none is drawn without."""

    def best(self, task: Task, grid: Grid) -> Winner:
        """Train all of `grid` on `task`; the first of those that are best on validation wins.

        Raises:
            InvalidInput: no probe ever had a finite validation score.
        """
        found = self._train(task, grid)
        order = {config: place for place, config in enumerate(grid.configs)}
        every = sorted((one for of_stack, _ in found for one in of_stack), key=lambda one: order[one.config])
        best = max(every, key=lambda one: one.score)  # max takes the first
        if not math.isfinite(best.score):
            raise InvalidInput(
                f"no probe of task {task.name!r} ever had a validation score that is finite; check the features, and "
                "that validation clips differ in their labels"
            )
        weights = next(weights for of_stack, weights in found if best in of_stack)
        return Winner(best, _head(task, best.config, weights), every)

    def each(self, task: Task, grid: Grid) -> list[Probe]:
        """Every probe of `grid`, no two of which have one seed, in its order."""
        weights = {trained[0].config: weights for trained, weights in self._train(task, grid)}
        return [_head(task, config, weights[config]) for config in grid.configs]

    def _train(self, task: Task, grid: Grid) -> list[cache.CachedResult]:
        clips = probe_clips(task, self.device)
        stacks = partition(grid.configs, self.device)
        digest = cache.task_digest(task)
        keys = [cache.key(digest, configs, grid, self.precision) for configs in stacks]
        bar = tqdm(total=len(grid.configs), desc=self.label, unit="probe", disable=not self.label)
        with bar, _Workers(self.device) as workers:
            progress = _Progress(bar, workers.stop)

            def train(configs: Sequence[ProbeConfig], key: str) -> cache.CachedResult:
                """One stack: read if it was finished before, else trained and kept."""
                kept = cache.read(self.folder, key, configs)
                if kept:
                    progress.tell(len(configs), max(one.score for one in kept[0]))
                    return kept
                stack = BatchedTrainer(configs, clips, grid, self.precision)
                trained = stack.train(progress.tell)
                assert stack.champion is not None, "a stack has probes, and each of them ended"
                result = trained, MlpWeights(tuple(one.cpu() for one in stack.champion[1].tensors))
                cache.write(self.folder, key, *result)
                return result

            return workers.run(train, list(zip(stacks, keys, strict=True)))


class _Stopped(Exception):
    """Another stack failed, or Ctrl-C was pressed."""


class _Progress:
    """The bar, told by several threads; the place where they learn that they should stop."""

    def __init__(self, bar: tqdm, stop: threading.Event) -> None:
        self._bar, self._stop, self._lock, self._best = bar, stop, threading.Lock(), -math.inf

    def tell(self, ended: int, best: float) -> None:
        """So many probes ended; the best score of their stack so far."""
        if self._stop.is_set():
            raise _Stopped
        with self._lock:
            if best > self._best:
                self._best = best
                self._bar.set_postfix(best_valid=f"{best:.3f}", refresh=False)
            self._bar.update(ended)


class _Workers:
    """Threads that train a stack each: on a CPU as many as PyTorch has, of one thread each, else one."""

    def __init__(self, device: torch.device) -> None:
        self.stop, self._threads = threading.Event(), torch.get_num_threads()
        self._count = self._threads if device.type == "cpu" else 1

    def __enter__(self) -> _Workers:
        start = (lambda: torch.set_num_threads(1)) if self._count > 1 else None
        self._pool = ThreadPoolExecutor(self._count, initializer=start)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads)  # what a thread sets holds for threads that begin after it

    def run(
        self, work: Callable[..., cache.CachedResult], every: Iterable[tuple[Any, ...]]
    ) -> list[cache.CachedResult]:
        """Results in the order of `every`; the first error ends all."""
        futures = [self._pool.submit(work, *one) for one in every]
        for future in as_completed(futures):
            future.result()
        return [future.result() for future in futures]


def partition(configs: Sequence[ProbeConfig], device: torch.device) -> list[list[ProbeConfig]]:
    """The stacks, each in the grid's order; those with a hidden layer, which take longest, first."""
    stacks: dict[tuple[object, ...], list[ProbeConfig]] = {}
    for one in configs:
        shared = (one.standardised, one.dropout) if device.type == "cpu" else ()
        stacks.setdefault((one.hidden, one.batch, one.seed, *shared), []).append(one)
    return sorted(stacks.values(), key=lambda stack: (-stack[0].hidden, -stack[0].batch))


def _head(task: Task, config: ProbeConfig, weights: MlpWeights) -> Probe:
    mean, deviation = probe_clips(task, torch.device("cpu")).scaler
    if not config.standardised:
        mean, deviation = torch.zeros_like(mean), torch.ones_like(deviation)
    return Probe(mean, deviation, weights)
