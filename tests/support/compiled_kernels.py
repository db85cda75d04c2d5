"""Compile the kernels over pairs of views for compute capability 9.0 without a GPU.

The script prints a line of JSON for each kernel, type and width.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget

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


def compile_kernel(kernel, dtype, width):
    """Compile a kernel and return the compiler's report as a dictionary."""
    tiling = tiling_for(dtype)
    constants = {
        **{"comparisons": int(Comparisons.NEGATIVES), "width": width, "block_width": max(16, power_of_two(width))},
        **{"block_rows": tiling.rows, "block": tiling.columns},
    }
    types = dict.fromkeys(("own", "all_views"), "*" + TYPES[dtype]) | dict.fromkeys(POINTERS[kernel], "*fp32")
    signature = {name: types.get(name, "constexpr" if name in constants else "i32") for name in kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(kernel.arg_names) if name in types}
    binary = triton.compile(
        triton.compiler.ASTSource(kernel, signature, constants, aligned),
        target=GPUTarget("cuda", 90, 32),
        options={"num_warps": tiling.warps, "num_stages": tiling.stages},
    )
    registers, stack_bytes = resource_usage(binary.asm["cubin"])
    return {
        **{"kernel": kernel.__name__, "type": str(dtype).removeprefix("torch."), "width": width},
        **{"registers": registers, "stack_bytes": stack_bytes, "shared_bytes": binary.metadata.shared},
        **{"tensor_cores": "wgmma" in binary.asm["ptx"]},
    }


def resource_usage(cubin):
    """Return the registers per thread and the stack bytes per thread of a compiled kernel."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    return map(int, re.search(r"REG:(\d+) STACK:(\d+)", usage).groups())


if __name__ == "__main__":
    for dtype, width in CASES:
        for kernel in POINTERS:
            print(json.dumps(compile_kernel(kernel, dtype, width)))
