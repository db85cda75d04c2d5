"""Grid search: trains all probes of a grid on one task and chooses one on validation.

Probes are trained in stacks (`batched_trainer`). On a CPU, a stack consists of the probes that read the same numbers
(same seed, batch size, depth, standardization and dropout), and each core trains a stack of its own. On a GPU, it
consists of all probes with the same seed, batch size and depth. Finished stacks are cached, so that an interrupted
search can continue.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from model.probes.config import Grid, ProbeConfig
from model.probes.probe import Probe
from model.probes.task import Task
from model.probes.training import cache, stack_task
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.batched_trainer import BatchedTrainer, TrainedProbe
from model.probes.training.inputs import TaskTensors, task_tensors
from model.probes.training.stack_task import StackTask, TaskRunner
from stores.errors import InvalidInput
from stores.progress import Progress

MIN_STACKS_FOR_CLUSTER = 2


@dataclass(frozen=True)
class SearchResult:
    """The probe that validation chose, and the results of all probes."""

    winner: TrainedProbe
    """Result of the probe with the best validation score."""
    probe: Probe
    """The winning probe, without metadata."""
    trained: list[TrainedProbe]
    """Results of all probes, in the order of the grid."""


class Trainer(Protocol):
    """A trainer of one stack of probes."""

    winner: tuple[TrainedProbe, MlpWeights] | None
    """Best probe with its weights, after training."""

    def train(self, on_evaluation: Callable[[int, float], None]) -> list[TrainedProbe]:
        """Train until all probes have stopped, and return their results; see `BatchedTrainer.train`."""
        ...


@dataclass(frozen=True)
class GridSearch:
    """Settings of a search."""

    device: torch.device
    """Device on which probes are trained."""
    precision: torch.dtype
    """Type in which the products of a hidden layer are computed: float32 or bfloat16."""
    cache_folder: Path | None = None
    """Folder of the result cache. None disables the cache."""
    label: str = ""
    """Label of the progress bar. An empty label disables the bar."""
    run_tasks: TaskRunner | None = None
    """Function that runs tasks on a cluster, which trains the stacks of a search if there is a cache."""

    def run(self, task: Task, grid: Grid) -> SearchResult:
        """Train all probes of `grid` on `task`. If several are equally good on validation, the first one wins.

        Raises:
            InvalidInput: no probe had a finite validation score.
        """
        results = self._train(task, grid)
        order = {config: place for place, config in enumerate(grid.configs)}
        trained = sorted((probe for stack, _ in results for probe in stack), key=lambda probe: order[probe.config])
        winner = max(trained, key=lambda probe: probe.score)  # max returns the first of equals
        if not math.isfinite(winner.score):
            raise InvalidInput(
                f"no probe of task {task.name!r} had a finite validation score; check that the features are finite and "
                "that the validation clips differ in their labels"
            )
        weights = next(weights for stack, weights in results if winner in stack)
        return SearchResult(winner, _probe(_scaler(task), winner.config, weights), trained)

    def train_each(self, task: Task, grid: Grid) -> list[Probe]:
        """Train and return every probe of `grid`, in its order. The seeds of the probes must differ."""
        weights = {trained[0].config: weights for trained, weights in self._train(task, grid)}
        scaler = _scaler(task)
        return [_probe(scaler, config, weights[config]) for config in grid.configs]

    def _train(self, task: Task, grid: Grid) -> list[cache.CachedResult]:
        tensors = task_tensors(task, self.device)
        stacks = partition(grid.configs, self.device)
        digest = self._digest(task)
        keys = [cache.cache_key(digest, configs, grid, self.precision) for configs in stacks]
        if self.run_tasks is not None and self.cache_folder is not None:
            self._train_on_cluster(task, grid, digest, stack_task.missing(self.cache_folder, stacks, keys))
        bar = Progress(total=len(grid.configs), desc=self.label, unit="probe", disable=not self.label)
        with bar, _Workers(self.device) as workers:
            progress = _Progress(bar, workers.stop)

            def train(configs: Sequence[ProbeConfig], key: str) -> cache.CachedResult:
                """Return the cached result of a stack, or train it and cache the result."""
                cached = cache.read(self.cache_folder, key, configs)
                if cached:
                    progress.update(len(configs), max(probe.score for probe in cached[0]))
                    return cached
                trainer = self._trainer(configs, tensors, grid)
                trained = trainer.train(progress.update)
                assert trainer.winner is not None, "a stack has probes, and all of them have stopped"
                weights = MlpWeights(tuple(tensor.cpu() for tensor in trainer.winner[1].tensors))
                cache.write(self.cache_folder, key, trained, weights)
                return trained, weights

            return workers.run(train, list(zip(stacks, keys, strict=True)))

    def _train_on_cluster(
        self, task: Task, grid: Grid, digest: str, stacks: Sequence[tuple[tuple[ProbeConfig, ...], str]]
    ) -> None:
        """Let workers train the stacks that are not cached. Their results are then read from the cache.

        A single stack is not worth the file that the workers read.
        """
        assert self.run_tasks is not None
        assert self.cache_folder is not None
        if len(stacks) < MIN_STACKS_FOR_CLUSTER:
            return
        folder, precision = self.cache_folder.absolute(), str(self.precision).removeprefix("torch.")
        probes = sum(len(configs) for configs, _ in stacks)
        with (
            stack_task.clips_file(folder, digest, task) as file,
            Progress(total=probes, desc=f"{self.label} on workers", unit="probe", disable=not self.label) as bar,
        ):
            tasks = (StackTask(file, configs, grid, precision, folder, key) for configs, key in stacks)
            for count in self.run_tasks(stack_task.train, tasks):
                bar.update(count)

    def _digest(self, task: Task) -> str:
        """Return the digest of a task, and of everything else besides the grid that decides a result."""
        return cache.task_digest(task)

    def _trainer(self, configs: Sequence[ProbeConfig], tensors: TaskTensors, grid: Grid) -> Trainer:
        return BatchedTrainer(configs, tensors, grid, self.precision)


class _SearchStopped(Exception):
    """Training was ended, because another stack failed or Ctrl-C was pressed."""


class _Progress:
    """The progress bar, which several threads update. An update also ends a thread if the search was stopped."""

    def __init__(self, bar: Progress, stop: threading.Event) -> None:
        self._bar, self._stop, self._lock, self._best = bar, stop, threading.Lock(), -math.inf

    def update(self, stopped: int, best: float) -> None:
        """Count `stopped` more probes, and show the best score of all stacks. `best` is that of the caller's stack."""
        if self._stop.is_set():
            raise _SearchStopped
        with self._lock:
            if best > self._best:
                self._best = best
                self._bar.set_postfix(best_valid=f"{best:.3f}", refresh=False)
            self._bar.update(stopped)


class _Workers:
    """Threads, each of which trains one stack at a time.

    On a CPU there are as many as PyTorch uses, and each computes with one thread. On a GPU there is one.
    """

    def __init__(self, device: torch.device) -> None:
        self.stop, self._threads = threading.Event(), torch.get_num_threads()
        self._count = self._threads if device.type == "cpu" else 1

    def __enter__(self) -> _Workers:
        initializer = (lambda: torch.set_num_threads(1)) if self._count > 1 else None
        self._pool = ThreadPoolExecutor(self._count, initializer=initializer)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads)  # the number that a thread sets also holds for threads that start later

    def run(
        self, work: Callable[..., cache.CachedResult], arguments: Iterable[tuple[Any, ...]]
    ) -> list[cache.CachedResult]:
        """Return the results in the order of `arguments`. The first exception ends all threads."""
        futures = [self._pool.submit(work, *each) for each in arguments]
        for future in as_completed(futures):
            future.result()
        return [future.result() for future in futures]


def partition(configs: Sequence[ProbeConfig], device: torch.device) -> list[list[ProbeConfig]]:
    """Return the stacks, each in the order of the grid. Those with a hidden layer come first, as they take longest."""
    stacks: dict[tuple[object, ...], list[ProbeConfig]] = {}
    for config in configs:
        inputs = (config.standardised, config.dropout) if device.type == "cpu" else ()
        stacks.setdefault((config.hidden, config.batch, config.seed, *inputs), []).append(config)
    return sorted(stacks.values(), key=lambda stack: (-sum(stack[0].hidden_widths), -stack[0].batch))


def _scaler(task: Task) -> tuple[Tensor, Tensor]:
    return task_tensors(task, torch.device("cpu")).scaler


def _probe(scaler: tuple[Tensor, Tensor], config: ProbeConfig, weights: MlpWeights) -> Probe:
    mean, deviation = scaler
    if not config.standardised:
        mean, deviation = torch.zeros_like(mean), torch.ones_like(deviation)
    return Probe(mean, deviation, weights)
