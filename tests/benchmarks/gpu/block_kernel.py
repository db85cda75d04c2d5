"""A sketch of one kernel for the attention half of a block, and the time that it is predicted to take.

    python tests/benchmarks/gpu/block_kernel.py

Norm, projection to queries, keys and values, attention within windows of five tokens, and the projection back to the
stream: one program computes this for the windows of a tile, and reads all weights. It is compared with the four kernels
that compute it in training, by the formulas of `predictions.py`. Besides, the weights that all programs read from the
level-2 cache count, bytes / `L2_BANDWIDTH`. The sketch has the forward pass only, without what a backward pass needs.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    os.environ.pop("TRITON_INTERPRET", None)
sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

import predictions
from kernel_binary import compile_kernel

from model.encoder.kernels.attention import _load, _probabilities, _store, _tile
from model.encoder.kernels.jit import jit, tl

L2_BANDWIDTH = 5.5e12
"""Bytes per second that all multiprocessors read from the level-2 cache of an H100 or H200: an opinion."""
TODAY = ("stream_norm", "qkv, forward", "attention", "attention out, forward: linear_residual, attention")
"""Parts of the prediction that the sketch takes the place of."""


@dataclass(frozen=True)
class Variant:
    """Sizes of the sketch."""

    rows: int
    """Rows of a tile."""
    warps: int
    """Warps of a program."""


VARIANTS = (Variant(64, 4), Variant(64, 8), Variant(128, 8), Variant(128, 16))


@jit
def _attention_block(
    stream,
    norm_weight,
    norm_shift,
    qkv_weight,
    out_weight,
    out,
    tokens,
    length: tl.constexpr,
    heads: tl.constexpr,
    head_width: tl.constexpr,
    chunk: tl.constexpr,
    rows: tl.constexpr,
    scale: tl.constexpr,
    epsilon: tl.constexpr,
    precision: tl.constexpr,
):
    """Compute the stream after attention for the windows of a tile. The width is three chunks, and heads by width."""
    width: tl.constexpr = 3 * chunk
    token, exists, window = _tile(tokens, length, rows)
    first, second, third = _normalized(stream, norm_weight, norm_shift, token, exists, chunk, epsilon)
    sums = (tl.zeros((rows, chunk), tl.float32),) * 3
    for head in range(heads):
        base = qkv_weight + head * head_width * width
        query = _project(first, second, third, base, width, head_width, chunk, precision)
        key = _project(first, second, third, base + width * width, width, head_width, chunk, precision)
        value = _project(first, second, third, base + 2 * width * width, width, head_width, chunk, precision)
        probability = _probabilities(query, key, exists, window, scale, precision)
        attended = tl.dot(probability.to(value.dtype), value, input_precision=precision).to(value.dtype)
        sums = _add_heads(sums, attended, out_weight + head * head_width, width, head_width, chunk, precision)
    for part in tl.static_range(3):
        past = _load(stream + part * chunk, token, exists, width, chunk, chunk).to(tl.float32)
        _store(out + part * chunk, token, exists, past + sums[part], width, chunk, chunk)


@jit
def _normalized(stream, weight, shift, token, exists, chunk: tl.constexpr, epsilon: tl.constexpr):
    """Return the LayerNorm of the rows of the tile, in three chunks."""
    width: tl.constexpr = 3 * chunk
    values = ()
    mean = tl.zeros((token.shape[0],), tl.float32)
    for part in tl.static_range(3):
        value = _load(stream + part * chunk, token, exists, width, chunk, chunk).to(tl.float32)
        values = values + (value,)  # noqa: RUF005 -- Triton knows no unpacking
        mean += tl.sum(value, axis=1) / width
    variance = tl.zeros((token.shape[0],), tl.float32)
    for part in tl.static_range(3):
        centered = values[part] - mean[:, None]
        variance += tl.sum(centered * centered, axis=1) / width
    inverse = 1 / tl.sqrt(variance + epsilon)
    normal = ()
    for part in tl.static_range(3):
        column = part * chunk + tl.arange(0, chunk)
        scaled = (values[part] - mean[:, None]) * inverse[:, None] * tl.load(weight + column)[None, :]
        normal = normal + ((scaled + tl.load(shift + column)[None, :]).to(stream.dtype.element_ty),)  # noqa: RUF005
    return normal


@jit
def _project(
    first,
    second,
    third,
    weight,
    width: tl.constexpr,
    columns: tl.constexpr,
    chunk: tl.constexpr,
    precision: tl.constexpr,
):
    """Return the product with `columns` rows of a weight `[columns, width]`."""
    place = weight + tl.arange(0, columns)[None, :] * width + tl.arange(0, chunk)[:, None]
    total = tl.dot(first, tl.load(place), input_precision=precision)
    total = tl.dot(second, tl.load(place + chunk), total, input_precision=precision)
    total = tl.dot(third, tl.load(place + 2 * chunk), total, input_precision=precision)
    return total.to(first.dtype)


@jit
def _add_heads(
    sums, attended, weight, width: tl.constexpr, columns: tl.constexpr, chunk: tl.constexpr, precision: tl.constexpr
):
    """Return the sums plus the product of one head with its columns of the weight `[width, width]`, in three chunks."""
    place = weight + tl.arange(0, chunk)[None, :] * width + tl.arange(0, columns)[:, None]
    first = tl.dot(attended, tl.load(place), sums[0], input_precision=precision)
    second = tl.dot(attended, tl.load(place + chunk * width), sums[1], input_precision=precision)
    third = tl.dot(attended, tl.load(place + 2 * chunk * width), sums[2], input_precision=precision)
    return first, second, third


def sizes(rows: int) -> dict[str, object]:
    """Return the constants of the sketch for the base encoder."""
    shape = {"length": predictions.LENGTH, "heads": predictions.HEADS, "head_width": 64, "chunk": 128, "rows": rows}
    return shape | {"scale": 0.125, "epsilon": 1e-5, "precision": "ieee"}


def row(variant: Variant, card: str) -> dict[str, object]:
    """Return registers and memory of a compiled variant, and the predicted microseconds of a launch by each limit."""
    types = ["bf16", "fp32", "fp32", "bf16", "bf16", "bf16"]
    binary = compile_kernel(_attention_block, types, sizes(variant.rows), variant.warps, 1)
    width, per_tile = predictions.WIDTH, variant.rows // predictions.LENGTH
    tiles = math.ceil(predictions.WINDOWS / per_tile)
    operations = 2 * variant.rows * width * 4 * width + 4 * variant.rows**2 * width
    tensor = operations / (predictions.FLOPS_PER_CLOCK * 0.8)
    issue = variant.warps * binary.executed([predictions.HEADS] * len(binary.loops)) / (4 * 0.8)
    threads, registers = 32 * variant.warps, max(1, binary.registers)
    programs = min(predictions.REGISTERS // (threads * registers), predictions.SHARED_BYTES // binary.shared_bytes)
    clocks = max(tensor, issue) if programs > 1 else tensor + issue
    times = {
        "arithmetic and instructions": 1e6 * tiles * clocks / 132 / 1.755e9,
        "weights from the cache": 1e6 * tiles * 2 * 4 * width * width / L2_BANDWIDTH,
        "memory": 1e6 * 2 * 2 * predictions.TOKENS * width / (0.85 * predictions.BANDWIDTHS[card]),
    }
    columns = {"registers": registers, "spilled bytes": binary.stack_bytes, "shared kB": binary.shared_bytes // 1024}
    return columns | {"programs": programs} | {f"{name}, us": round(us) for name, us in times.items()}


def today_us(card: str) -> float:
    """Return the predicted time of the four kernels of one block."""
    terms = {term.name: term.us for term in predictions.step_terms("base", card)}
    return sum(terms[name] / (predictions.NORMS if name == "stream_norm" else predictions.DEPTH) for name in TODAY)


def main() -> None:
    """Print the comparison for an H200."""
    print(f"today, four kernels: {today_us('H200'):.0f} us")
    for variant in VARIANTS:
        columns = ", ".join(f"{name} {value}" for name, value in row(variant, "H200").items())
        print(f"{variant.rows} rows, {variant.warps} warps: {columns}", flush=True)


if __name__ == "__main__":
    main()
