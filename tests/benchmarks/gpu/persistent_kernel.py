"""Sketches of persistent kernels for the products with an epilogue, and the time that they are predicted to take.

    python tests/benchmarks/gpu/persistent_kernel.py

A persistent kernel starts two programs for each multiprocessor, and each computes one tile after another. Its loads for
the next tile can begin before the present one is stored (`flatten`), and they can be those of the tensor memory
accelerator (descriptors). It is compared with today's kernels, which start a program for each tile, by the formulas of
`predictions.py`: if two programs fit on a multiprocessor, one multiplies while the other is in its epilogue, and the
longer of both times counts. Otherwise both count. A persistent program is granted the instructions of today's kernel,
although its loop adds some.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    os.environ.pop("TRITON_INTERPRET", None)
sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

import predictions
from compiled_encoder_kernels import KERNELS
from kernel_binary import Binary, compile_kernel

from model.encoder.kernels import fused_linear
from model.encoder.kernels.fused_linear import _load_weight, _store_gelu, _store_residual, _store_slope
from model.encoder.kernels.jit import jit, tl

PRODUCTS = ("linear_gelu", "gelu_gradient", "linear_residual, feed-forward")
"""Names in `compiled_encoder_kernels.KERNELS`."""


@dataclass(frozen=True)
class Form:
    """A way to write a persistent kernel."""

    flattens: bool
    """Both loops are one, so that loads for the next tile begin before the present one is stored."""
    uses_descriptors: bool
    """The tensor memory accelerator loads the inputs and the weight."""

    def __str__(self) -> str:
        loads = "descriptors" if self.uses_descriptors else "pointers"
        return f"{loads}, {'one loop' if self.flattens else 'two loops'}"


FORMS = tuple(Form(flattens, descriptors) for descriptors in (False, True) for flattens in (False, True))


@jit
def _persistent(
    inputs,
    weight,
    out,
    vector,
    side,
    second,
    rows,
    width: tl.constexpr,
    inner: tl.constexpr,
    epilogue: tl.constexpr,
    has_bias: tl.constexpr,
    is_transposed: tl.constexpr,
    block_rows: tl.constexpr,
    block: tl.constexpr,
    block_inner: tl.constexpr,
    precision: tl.constexpr,
    programs: tl.constexpr,
    flattens: tl.constexpr,
    uses_descriptors: tl.constexpr,
):
    """Compute every `programs`th tile, as `fused_linear._linear` computes one."""
    tiles: tl.constexpr = (width + block - 1) // block
    number_of_tiles = (rows + block_rows - 1) // block_rows * tiles
    left, right = inputs, weight
    if uses_descriptors:
        left = tl.make_tensor_descriptor(inputs, [rows, inner], [inner, 1], [block_rows, block_inner])
        if is_transposed:
            right = tl.make_tensor_descriptor(weight, [inner, width], [width, 1], [block_inner, block])
        else:
            right = tl.make_tensor_descriptor(weight, [width, inner], [inner, 1], [block, block_inner])
    for number in tl.range(tl.program_id(0), number_of_tiles, programs, flatten=flattens):
        tile_row, first_column = number // tiles, number % tiles * block
        row = tile_row * block_rows + tl.arange(0, block_rows)
        column = first_column + tl.arange(0, block)
        exists, inside = row < rows, column < width
        total = tl.zeros((block_rows, block), tl.float32)
        for first in range(0, inner, block_inner):
            if uses_descriptors:
                left_part = left.load([tile_row * block_rows, first])
                right_part = _load_described(right, first, first_column, is_transposed)
            else:
                step = first + tl.arange(0, block_inner)
                left_part = _load_rows(left, row, step, exists, inner)
                right_part = _load_weight(right, step, column, width, inner, is_transposed)
            total = tl.dot(left_part, right_part, total, input_precision=precision)
        place = row.to(tl.int64)[:, None] * width + column[None, :]
        mask = exists[:, None] & inside[None, :]
        if epilogue == 0:
            _store_gelu(total, vector, out, second, column, inside, place, mask)
        elif epilogue == 1:
            _store_slope(total, side, out, vector + tile_row * width + column, inside, place, mask)
        else:
            _store_residual(total, vector, side, out, column, inside, place, mask, has_bias, epilogue == 2)


@jit
def _load_described(parts, first, first_column, is_transposed: tl.constexpr):
    """Return a part of the weight `[block_inner, block]` by its descriptor."""
    if is_transposed:
        return parts.load([first, first_column])
    return parts.load([first_column, first]).T


@jit
def _load_rows(inputs, row, step, exists, inner: tl.constexpr):
    mask = exists[:, None] & (step < inner)[None, :]
    return tl.load(inputs + row.to(tl.int64)[:, None] * inner + step[None, :], mask, 0)


def row(product: str, form: Form | None) -> dict[str, object]:
    """Return what the binary of a form needs, or that of today's kernel, and its predicted microseconds for a layer."""
    function, types, constants, warps, stages = KERNELS[product]
    today = binary = compile_kernel(function, types, constants, warps, stages)
    if form is not None:
        own = {"programs": 264, "flattens": form.flattens, "uses_descriptors": form.uses_descriptors}
        binary = compile_kernel(_persistent, types, constants | own, warps, stages)
    programs = min(
        predictions.REGISTERS // (32 * warps * binary.registers), predictions.SHARED_BYTES // binary.shared_bytes
    )
    columns = {"registers": binary.registers, "spilled bytes": binary.stack_bytes}
    columns |= {"shared kB": binary.shared_bytes // 1024, "programs": programs}
    return columns | {"us": round(_us(today, constants, warps, programs))}


def _us(today: Binary, constants: dict[str, Any], warps: int, programs: int) -> float:
    tile = fused_linear.TILES[constants["epilogue"]]
    tensor = 2 * tile.rows * tile.columns * constants["inner"] / (predictions.FLOPS_PER_CLOCK * 0.8)
    trips = [constants["inner"] // tile.inner] * len(today.loops)
    issue = warps * today.executed(trips) / (4 * 0.8)
    tiles = -(-predictions.TOKENS // tile.rows) * -(-constants["width"] // tile.columns)
    return 1e6 * tiles * (max(tensor, issue) if programs > 1 else tensor + issue) / 132 / 1.755e9


def main() -> None:
    """Print the comparison."""
    for product in PRODUCTS:
        for form in (None, *FORMS):
            columns = ", ".join(f"{name} {value}" for name, value in row(product, form).items())
            print(f"{product}, {form or 'a program for each tile'}: {columns}", flush=True)


if __name__ == "__main__":
    main()
