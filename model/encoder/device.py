"""The device and the precision that are fastest on this machine."""

from __future__ import annotations

import os

import torch


def fastest_device() -> torch.device:
    """The GPU if there is one (of several, the one that torchrun gives this process), else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def fastest_precision() -> str:
    """bf16 where products are faster in it: on a GPU, or a CPU with AVX-512 bf16 or AMX; else fp32."""
    if torch.cuda.is_available():
        return "bf16"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"
