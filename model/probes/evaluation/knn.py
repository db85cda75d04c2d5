"""k nearest neighbours: a second opinion that trains nothing and has no grid.

Features are standardised by the training clips; a clip's outputs are the mean of what its nearest training clips are
by cosine, weighted by it (Wu et al. 2018 weigh likewise), so a class or tag gets its neighbours' share.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from model.probes.task import Task
from model.probes.training.inputs import probe_clips

NEIGHBORS = 20
_TEMPERATURE = 0.07
_LEAST_SHARE = 1e-6
_BLOCK_CLIPS = 1024


def outputs(task: Task, split: str) -> NDArray[np.float32]:
    """Outputs `[clips, C]` for the clips of a split: logarithms of shares of classes or tags, or means of numbers."""
    clips = probe_clips(task, torch.device("cpu"))
    mean, deviation = clips.scaler
    known = torch.nn.functional.normalize((clips.train - mean) / deviation, dim=1)
    asked = torch.from_numpy(task.splits[split].features)
    found = [
        _block(torch.nn.functional.normalize((block - mean) / deviation, dim=1), known, clips.targets)
        for block in torch.split(asked, _BLOCK_CLIPS)
    ]
    shares = torch.cat(found)
    outputs: NDArray[np.float32] = (shares if task.kind == "numbers" else (shares + _LEAST_SHARE).log()).numpy()
    return outputs


def _block(asked: torch.Tensor, known: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    nearest = (asked @ known.T).topk(min(NEIGHBORS, len(known)), dim=1)
    shares = (nearest.values / _TEMPERATURE).softmax(1)
    return (shares[..., None] * targets[nearest.indices]).sum(1)
