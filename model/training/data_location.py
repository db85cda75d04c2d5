"""Data location: the clips of a run stay in GPU memory, in RAM or on disk, which does not change the batches."""

from __future__ import annotations

import os

import psutil
import torch

from model.training import ranks
from model.training.on_disk import ClipsOnDisk
from model.training.resident import ResidentClips
from model.training.sources import TrainingShards
from stores import remote_link
from stores.errors import InvalidInput

DATA_LOCATIONS = ("gpu", "ram", "none")
_BYTES_PER_CLIP = 24
"""Memory for the start, the number of frames and the index of a clip."""


def open_clips(sources: TrainingShards, location: str, device: torch.device) -> ResidentClips | ClipsOnDisk:
    """Return the clips of `sources` at `location` for training on `device`.

    Clips that stay in memory are loaded after the required and the free memory have been printed.

    Args:
        sources: shard sets of the run.
        location: a value of `DATA_LOCATIONS`; with `none`, the clips stay on disk.
        device: device of the training.

    Raises:
        InvalidInput: there is no GPU, or too little memory. Nothing has been read then.
        CorruptArtifact: a shard cannot be read, or its clips are not those that the index lists.
    """
    if location == "none":
        for shards in sources.sets:
            remote_link.require_local(shards.folder, "--resident none")
        return ClipsOnDisk.open(sources, pinned=device.type == "cuda")
    require_device(location, device)
    needed = sources.frames * sources.n_mels + sources.clips * _BYTES_PER_CLIP
    if location == "gpu":
        require_memory(needed, torch.cuda.mem_get_info(device)[0], "GPU memory", "--resident ram or --resident none")
        return ResidentClips.load(sources, device)
    require_memory(needed * _local_processes(), psutil.virtual_memory().available, "RAM", "--resident none")
    return ResidentClips.load(sources)


def require_device(location: str, device: torch.device) -> None:
    """Check that clips can stay at `location`.

    Raises:
        InvalidInput: the location is `gpu`, but training runs on a CPU.
    """
    if location == "gpu" and device.type != "cuda":
        raise InvalidInput("--resident gpu needs a GPU, but PyTorch finds none; use --resident ram or --resident none")


def require_memory(needed_bytes: int, free_bytes: int, kind: str, alternative: str) -> None:
    """Print the memory that the clips need and the free memory, and check that the clips fit.

    Args:
        needed_bytes: memory that the clips need.
        free_bytes: free memory.
        kind: name of the kind of memory.
        alternative: options to recommend if the clips do not fit.

    Raises:
        InvalidInput: `needed_bytes` are more than `free_bytes`.
    """
    message = f"the clips need {needed_bytes / 1e6:,.0f} MB of {kind}, and {free_bytes / 1e6:,.0f} MB are free"
    if needed_bytes > free_bytes:
        raise InvalidInput(f"{message}; use {alternative}")
    if ranks.is_main_process():
        print(message)
    ranks.barrier()  # no rank may fill memory while another rank still measures the free memory


def _local_processes() -> int:
    """Return the number of processes of this run on this machine, each of which holds all clips."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
