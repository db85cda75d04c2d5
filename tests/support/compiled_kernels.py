"""Compile the kernels over pairs of views for compute capability 9.0 without a GPU.

The script prints a line of JSON for each kernel, type and width.
"""

from __future__ import annotations

import json

import torch
from kernel_binary import compile_kernel

from model.encoder.kernels.jit import power_of_two
from model.objectives.kernels import log_normalizers, repulsion
from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.tiling import tiling_for

POINTERS = {
    log_normalizers._log_normalizers: ("temperature", "logs", "means"),
    repulsion._repulsion: ("slope", "shift", "out"),
}
CASES = [(torch.bfloat16, 128), (torch.bfloat16, 256), (torch.float32, 128)]
TYPES = {torch.bfloat16: "bf16", torch.float32: "fp32"}


def report(kernel, dtype, width):
    """Compile a kernel, and return what its binary says as a dictionary."""
    tiling = tiling_for(dtype)
    constants = {
        **{"comparisons": int(Comparisons.NEGATIVES), "width": width, "block_width": max(16, power_of_two(width))},
        **{"block_rows": tiling.rows, "block": tiling.columns},
    }
    types = dict.fromkeys(("own", "all_views"), TYPES[dtype]) | dict.fromkeys(POINTERS[kernel], "fp32")
    binary = compile_kernel(kernel, types, constants, tiling.warps, tiling.stages)
    case = {"kernel": kernel.__name__, "type": str(dtype).removeprefix("torch."), "width": width}
    return {**case, **binary.facts()}


if __name__ == "__main__":
    for dtype, width in CASES:
        for kernel in POINTERS:
            print(json.dumps(report(kernel, dtype, width)))
