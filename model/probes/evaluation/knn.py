"""k-NN: a prediction without training or grid search, which is reported beside the score of the probe.

Features are standardized by the training clips. The outputs for a clip are the mean of the targets of its nearest
training clips by cosine similarity, weighted as in Wu et al. 2018, so that each class or tag gets its share of the
neighbors.

Each clip is compared with a limited number of training clips, so that the time grows as the number of clips.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from model.probes.nearest_neighbors import nearest, weighted_vote
from model.probes.task import Task
from model.probes.training.inputs import task_tensors

NEIGHBORS = 20
MAX_TRAIN_CLIPS = 50_000
"""Largest number of training clips that a clip is compared with. Of more clips, as many are used, evenly spread."""
_MIN_SHARE = 1e-6  # added to each share, so that its logarithm is finite
_BLOCK_CLIPS = 1024


def outputs(task: Task, split: str) -> NDArray[np.float32]:
    """Return outputs `[clips, C]` for a split: logarithms of shares of classes or tags, or means of numbers."""
    tensors = task_tensors(task, torch.device("cpu"))
    mean, deviation = tensors.scaler
    chosen = torch.from_numpy(_spread(len(tensors.train)))
    train = torch.nn.functional.normalize((tensors.train[chosen] - mean) / deviation, dim=1)
    targets = tensors.targets[chosen]
    means = []
    for block in torch.split(torch.from_numpy(task.splits[split].features), _BLOCK_CLIPS):
        queries = torch.nn.functional.normalize((block - mean) / deviation, dim=1)
        means.append(weighted_vote(nearest(queries, train, NEIGHBORS), targets))
    shares = torch.cat(means)
    outputs: NDArray[np.float32] = (shares if task.kind == "numbers" else (shares + _MIN_SHARE).log()).numpy()
    return outputs


def _spread(clips: int) -> NDArray[np.int64]:
    """Return the training clips that others are compared with, all of them or evenly spread ones."""
    if clips <= MAX_TRAIN_CLIPS:
        return np.arange(clips)
    return np.linspace(0, clips - 1, MAX_TRAIN_CLIPS).round().astype(np.int64)
