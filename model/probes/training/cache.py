"""Stacks that were trained to their end, on disk: a search that was killed goes on with the others.

FOLDER/KEY.safetensors holds the weights of the best probe of a stack and, in its header, what became of each. KEY is
a digest of everything that decides them: the task's clips, the configurations, patience, precision and this format.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from model.probes.config import Grid, ProbeConfig
from model.probes.task import Task
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.batched_trainer import TrainedProbe
from stores.commit import atomic_write
from stores.digest import digest

FORMAT = "myna-probe-stack-1"
CachedResult = tuple[list[TrainedProbe], MlpWeights]
"""What became of the probes of a stack, and the weights of the best."""


def key(task: str, configs: Sequence[ProbeConfig], grid: Grid, precision: torch.dtype) -> str:
    """Name of a stack's file; `task` is the digest of the task."""
    limits = {"patience": grid.patience, "most_evaluations": grid.most_evaluations, "precision": str(precision)}
    ids = [config.digest() for config in configs]
    return digest({"format": FORMAT, "task": task, "configs": ids, **limits})


def task_digest(task: Task) -> str:
    """BLAKE2b-128, hex, of what probes see of a task: training and validation clips, their labels and songs."""
    hashed = hashlib.blake2b(f"{task.kind} {task.classes}".encode(), digest_size=16)
    for split in ("train", "valid"):
        part = task.splits[split]
        for array in (part.features, part.targets, part.songs):
            if array is not None:
                hashed.update(f"{split} {array.shape} {array.dtype}".encode())
                hashed.update(array.tobytes())
    return hashed.hexdigest()


def write(folder: Path | None, key: str, trained: Sequence[TrainedProbe], weights: MlpWeights) -> None:
    """Keep a stack, atomically; nowhere if `folder` is None."""
    if folder is None:
        return
    rows = [
        {"id": one.config.digest(), "score": one.score if math.isfinite(one.score) else None}
        | {"best_step": one.best_step, "steps": one.steps, "stopped": one.stopped}
        for one in trained
    ]
    tensors = {str(place): tensor.contiguous() for place, tensor in enumerate(weights.tensors)}
    with atomic_write(folder / f"{key}.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "trained": json.dumps(rows, allow_nan=False)})


def read(folder: Path | None, key: str, configs: Sequence[ProbeConfig]) -> CachedResult | None:
    """What `write` kept of a stack of these probes; None if there is nothing, or something else: it is trained anew."""
    if folder is None or not (path := folder / f"{key}.safetensors").is_file():
        return None
    by_id = {config.digest(): config for config in configs}
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            names = sorted(file.keys(), key=int)
            weights = MlpWeights(tuple(file.get_tensor(name) for name in names))
        rows = json.loads(header["trained"])
        trained = [
            TrainedProbe(
                config=by_id.pop(row["id"]),
                score=-math.inf if row["score"] is None else float(row["score"]),
                best_step=int(row["best_step"]),
                steps=int(row["steps"]),
                stopped=str(row["stopped"]),
            )
            for row in rows
        ]
    except (SafetensorError, ValueError, KeyError, TypeError):
        return None
    return (trained, weights) if not by_id and header.get("format") == FORMAT else None
