"""Access to Triton, which CUDA builds of PyTorch contain and CPU builds do not.

If `TRITON_INTERPRET=1` is set before this module is imported, kernels run on CPU tensors. Tests use this on machines
without a GPU. The interpreter's arithmetic in bfloat16 is wrong, unless the tests' own `bf16_interpreter` is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # a CPU build of PyTorch
    triton = tl = None


def jit(function: Callable[..., Any]) -> Any:
    """Apply `triton.jit`; without Triton, return the function unchanged, which then cannot be called."""
    return triton.jit(function) if triton else function


def uses_kernels(tensor: Tensor) -> bool:
    """Return whether operations on this tensor, of any shape, run as kernels: on a GPU, with Triton installed."""
    return tensor.is_cuda and triton is not None


def power_of_two(size: int) -> int:
    """Return the smallest power of two that is at least `size`, because the sizes of Triton's blocks must be such."""
    return 1 << (size - 1).bit_length()


__all__ = ["jit", "power_of_two", "tl", "triton", "uses_kernels"]
