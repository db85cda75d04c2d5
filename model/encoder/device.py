"""The choice of the fastest device and precision of this machine."""

from __future__ import annotations

import os

import torch


def fastest_device() -> torch.device:
    """Return the GPU that torchrun assigns to this process, or the first GPU; without a GPU, return the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def fastest_precision() -> str:
    """Return bf16 on a GPU and on a CPU with AVX-512 bf16 or AMX, where matrix products in it are faster, else fp32."""
    if torch.cuda.is_available():
        return "bf16"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"


def sum_products_in_float32() -> None:
    """Forbid cuBLAS to add the parts of a product in bfloat16.

    It may split a product over thousands of tokens into parts for several multiprocessors, as those of weight gradients
    are. PyTorch's default lets it add these parts in the type of the result.
    """
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
