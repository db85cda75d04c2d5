"""The task of a worker that trains one stack of probes. The clips are read from a file, and the result is cached.

The file lies in the folder of the cache, which the workers must see. It is removed when the search ends.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.probes.config import Grid, ProbeConfig
from model.probes.task import Task, TaskSplit
from model.probes.training import cache
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.batched_trainer import BatchedTrainer
from model.probes.training.inputs import TaskTensors, task_tensors
from stores.commit import atomic_write
from stores.json_codec import parse_json

SPLITS = ("train", "valid")
"""Splits that training reads. Workers never see test clips."""


@dataclass(frozen=True)
class StackTask:
    """One stack of a grid search, small enough to be sent to a worker."""

    file: Path
    """File of the clips, which `clips_file` has written."""
    configs: tuple[ProbeConfig, ...]
    """Settings of the probes of the stack."""
    grid: Grid
    """Patience and limit of evaluations."""
    precision: str
    """Precision of the products of a hidden layer: `float32` or `bfloat16`."""
    cache_folder: Path
    """Folder of the cache."""
    key: str
    """Key of the result in the cache."""


TaskRunner = Callable[[Callable[[StackTask], int], Iterable[StackTask]], Iterator[int]]
"""Function that runs a function for each task and yields the results in any order."""


def train(task: StackTask) -> int:
    """Train a stack, write its result to the cache, and return the number of its probes.

    Training it twice leaves the same bytes.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a search of one process, so that the result has the same bits
    try:
        trainer = BatchedTrainer(task.configs, _tensors(task.file), task.grid, getattr(torch, task.precision))
        trained = trainer.train()
    finally:
        torch.set_num_threads(threads)
    assert trainer.winner is not None, "a stack has probes, and all of them have stopped"
    cache.write(task.cache_folder, task.key, trained, MlpWeights(trainer.winner[1].tensors))
    return len(task.configs)


@contextlib.contextmanager
def clips_file(folder: Path, digest: str, task: Task) -> Iterator[Path]:
    """Write the training and validation clips of a task to a file, and remove it in the end.

    Args:
        folder: folder of the cache.
        digest: digest of the task, which becomes part of the name.
        task: the task.
    """
    path = folder.absolute() / f"clips-{digest}.npz"
    arrays = dict[str, NDArray[Any]]()
    for split in SPLITS:
        clips = task.splits[split]
        arrays |= {f"{split}.features": clips.features, f"{split}.targets": clips.targets}
        arrays |= {f"{split}.groups": clips.groups} | ({} if clips.songs is None else {f"{split}.songs": clips.songs})
    about = json.dumps({"name": task.name, "kind": task.kind, "classes": task.classes})
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, about=np.array(about), **arrays)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@lru_cache(1)
def _tensors(path: Path) -> TaskTensors:
    """Return the clips in a file, which a worker keeps for its next stacks."""
    with np.load(path, allow_pickle=False) as file:
        about = parse_json(str(file["about"]))
        splits = {split: _split(split, file) for split in SPLITS}
    return task_tensors(Task(about["name"], tuple(about["classes"]), splits, about["kind"]), torch.device("cpu"))


def _split(name: str, arrays: np.lib.npyio.NpzFile) -> TaskSplit:
    features, targets, groups = (arrays[f"{name}.{part}"] for part in ("features", "targets", "groups"))
    return TaskSplit(features, targets, groups, arrays.get(f"{name}.songs"))


def missing(
    folder: Path, stacks: Sequence[Sequence[ProbeConfig]], keys: Sequence[str]
) -> list[tuple[tuple[ProbeConfig, ...], str]]:
    """Return the stacks without a result in the cache, each with its key."""
    pairs = zip(stacks, keys, strict=True)
    return [(tuple(configs), key) for configs, key in pairs if cache.read(folder, key, configs) is None]
