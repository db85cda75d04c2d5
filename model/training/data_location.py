"""Where the clips of a run stay: on the GPU, in RAM, or on disk. The batches are the same; memory and speed are not."""

from __future__ import annotations

import os

import psutil
import torch

from model.training import ranks
from model.training.on_disk import ClipsOnDisk
from model.training.resident import ResidentClips
from model.training.sources import TrainingShards
from stores.errors import InvalidInput

DATA_LOCATIONS = ("gpu", "ram", "none")
_CLIP_BYTES = 24
"""Start, frames and index of a clip."""


def open_clips(sources: TrainingShards, residency: str, device: torch.device) -> ResidentClips | ClipsOnDisk:
    """The clips of `sources`, held as `residency` says for training on `device`; prints what that needs first.

    Raises:
        InvalidInput: there is no GPU, or too little memory; told with both numbers before anything is read.
        CorruptArtifact: if shards cannot be read, or hold other clips than their index says.
    """
    if residency == "none":
        return ClipsOnDisk.find(sources, pinned=device.type == "cuda")
    require_device(residency, device)
    needed = sources.frames * sources.n_mels + sources.clips * _CLIP_BYTES
    if residency == "gpu":
        require_memory(needed, torch.cuda.mem_get_info(device)[0], "of the GPU's memory", "ram, or none")
        return ResidentClips.load(sources, device)
    require_memory(needed * _processes(), psutil.virtual_memory().available, "of RAM", "none")
    return ResidentClips.load(sources)


def require_device(residency: str, device: torch.device) -> None:
    """Refuse to keep clips on a GPU that is not there.

    Raises:
        InvalidInput: if so.
    """
    if residency == "gpu" and device.type != "cuda":
        raise InvalidInput("--resident gpu needs a GPU, and PyTorch finds none; use --resident ram, or none")


def require_memory(needed_bytes: int, free_bytes: int, where: str, instead: str) -> None:
    """Say what the clips need and what is free, and refuse what does not fit.

    Raises:
        InvalidInput: if `needed_bytes` are more than `free_bytes`.
    """
    told = f"the clips need {needed_bytes / 1e6:,.0f} MB {where}, {free_bytes / 1e6:,.0f} MB are free"
    if needed_bytes > free_bytes:
        raise InvalidInput(f"{told}; use --resident {instead}")
    if ranks.is_main_process():
        print(told)
    ranks.wait()  # nobody fills memory while others still look how much there is


def _processes() -> int:
    """Processes of this run on this machine; each holds all clips."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
