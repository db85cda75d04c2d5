"""Result cache: the results of finished stacks on disk, so that an interrupted grid search can continue.

FOLDER/KEY.safetensors holds the weights of the best probe of a stack and, in its header, the result of each probe. KEY
is a digest of everything that determines them: the clips of the task, the configurations, patience, precision and the
format.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from model.probes.config import Grid, ProbeConfig
from model.probes.task import Task
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.batched_trainer import TrainedProbe
from stores.commit import atomic_write
from stores.digest import digest
from stores.json_codec import parse_json
from stores.safetensors_header import sort_metadata

FORMAT = "myna-probe-stack-2"
CachedResult = tuple[list[TrainedProbe], MlpWeights]
"""The result of each probe of a stack, and the weights of the best one."""


def cache_key(task: str, configs: Sequence[ProbeConfig], grid: Grid, precision: torch.dtype) -> str:
    """Return the name of a stack's file without suffix. `task` is the digest of the task."""
    limits = {"patience": grid.patience, "most_evaluations": grid.max_evaluations, "precision": str(precision)}
    ids = [config.digest() for config in configs]
    return digest({"format": FORMAT, "task": task, "configs": ids, **limits})


def task_digest(task: Task) -> str:
    """Return the BLAKE2b-128 (hex) of what determines the training of probes on a task.

    This includes the features, labels and songs of the training and validation clips.
    """
    blake2b = hashlib.blake2b(f"{task.kind} {task.classes}".encode(), digest_size=16)
    for split in ("train", "valid"):
        clips = task.splits[split]
        for array in (clips.features, clips.targets, clips.songs):
            if array is not None:
                blake2b.update(f"{split} {array.shape} {array.dtype}".encode())
                blake2b.update(np.ascontiguousarray(array).data)
    return blake2b.hexdigest()


def write(folder: Path | None, key: str, trained: Sequence[TrainedProbe], weights: MlpWeights) -> None:
    """Write the result of a stack, atomically, or nothing if `folder` is None."""
    if folder is None:
        return
    rows = [
        {"id": probe.config.digest(), "score": probe.score if math.isfinite(probe.score) else None}
        | {"best_step": probe.best_step, "steps": probe.steps, "stopped": probe.stopped}
        for probe in trained
    ]
    tensors = {str(place): tensor.contiguous() for place, tensor in enumerate(weights.tensors)}
    content = save(tensors, {"format": FORMAT, "trained": json.dumps(rows, allow_nan=False)})
    with atomic_write(folder / f"{key}.safetensors") as temporary:
        temporary.write_bytes(content)  # `save_file` reports a full disk without its error number
        sort_metadata(temporary)


def read(folder: Path | None, key: str, configs: Sequence[ProbeConfig]) -> CachedResult | None:
    """Return the cached result of a stack of these probes, or None if there is none or its file is damaged."""
    if folder is None or not (path := folder / f"{key}.safetensors").is_file():
        return None
    by_id = {config.digest(): config for config in configs}
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            names = sorted(file.keys(), key=int)
            weights = MlpWeights(tuple(file.get_tensor(name) for name in names))
        rows = parse_json(header["trained"])
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
