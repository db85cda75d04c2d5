"""Predicted time of the training step on an H200 and an H100, from compiled kernels and a table of products.

    python tests/benchmarks/gpu/predictions.py [--json]

No GPU is needed. Changes of the step are judged by these numbers until measured ones replace them. The kernels are
compiled for compute capability 9.0, and their instructions are counted. A kernel takes as long as its bytes or its
instructions, whichever takes longer:

    bytes / (0.85 * bandwidth)   and   warp instructions / (132 multiprocessors * 4 per clock * 1.755 GHz * 0.8)

A product takes 2 M N K operations at a rate of `GEMM_RATES`, but at least its bytes / (0.9 * bandwidth). These rates
are opinions, unless a result of `ceilings.py` with measured ones is in the folder of results. The rest of a step is
constant.

The file is not called model.py, because scripts of its folder import the package `model`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

if __name__ == "__main__":
    os.environ.pop("TRITON_INTERPRET", None)  # kernels are compiled
sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

import torch
from compiled_encoder_kernels import KERNELS
from kernel_binary import compile_kernel

from model.encoder.kernels import attention, cells, fused_linear, mask, stream_norm

WINDOWS, LENGTH, DEPTH, WIDTH, HIDDEN, HEADS = 8_192, 5, 12, 384, 1_536, 6
TOKENS, NORMS = WINDOWS * LENGTH, 2 * DEPTH + 1
ISSUE_PER_SECOND = 132 * 4 * 1.755e9 * 0.8
BANDWIDTHS = {"H200": 4.8e12, "H100": 3.35e12}
"""Bytes per second of the memory, as the manufacturer states them."""
GEMM_RATES = {
    # layer: (N, K), and TFLOP/s of the forward product, the input gradient and the weight gradient
    "qkv": ((3 * WIDTH, WIDTH), (600, 600, 520)),
    "attention out": ((WIDTH, WIDTH), (420, 420, 350)),
    "feed-forward in": ((HIDDEN, WIDTH), (600, 620, 550)),
    "feed-forward out": ((WIDTH, HIDDEN), (620, 600, 550)),
}
"""Opinions about cuBLAS, which also bound the kernels that take the place of a product."""
PATCH = 256
"""Cells of a patch."""
EMBEDDING_RATES = {"patch embedding, forward": 420, "patch embedding, weight gradient": 350}
"""The same for the layer from the cells of a patch to a token. Nothing needs the gradient of the cells."""
FUSED = {
    # product that a kernel computes: the kernel, its epilogue, and the passes over [TOKENS, WIDTH] that it makes
    "attention out, forward": ("linear_residual, attention", fused_linear.RESIDUAL, 3),
    "feed-forward in, forward": ("linear_gelu", fused_linear.GELU, 9),
    "feed-forward out, forward": ("linear_residual, feed-forward", fused_linear.RESIDUAL, 6),
    "feed-forward out, input gradient": ("gelu_gradient", fused_linear.SLOPE, 9),
}
FLOPS_PER_CLOCK, REGISTERS, SHARED_BYTES = 4_096, 65_536, 227 * 1_024
"""Limits of a multiprocessor: operations in bfloat16, registers, and shared memory of its programs."""
DIRECTIONS = ("forward", "input gradient", "weight gradient")
CONSTANT_US = {"loss": 300.0, "Adam and copies": 300.0}
"""Microseconds of a step; the loss once for each patch kind."""
LAUNCH_US, LAUNCHES_PER_BLOCK, LAUNCHES_PER_KIND, OTHER_LAUNCHES = 0.6, 19, 20, 10
"""Time of a launch, launches of a block and of the patch embedding of each kind, and launches that stack, convert and
sum what `spread` has spread."""
REQUIRED_MS = {"base": 13.0, "hybrid": 25.0}
"""What the step must take on an H200 by this prediction."""


@dataclass(frozen=True)
class Launch:
    """A kernel as one step launches it for one patch kind."""

    kernel: str
    """Name in `compiled_encoder_kernels.KERNELS`."""
    times: int
    """Launches in a step."""
    programs: int
    """Programs of a launch."""
    trips: tuple[int, ...]
    """How often each of its loops runs."""
    moved_bytes: int
    """Bytes that a launch reads and writes."""


@dataclass(frozen=True)
class Term:
    """A part of the step."""

    name: str
    """Name of the kernel, product or constant."""
    us: float
    """Microseconds in a step."""
    limit: str
    """What limits it: memory, instructions, arithmetic, or constant."""


def launches() -> list[Launch]:
    """Return the launches of the encoder's kernels in a step of one patch kind."""
    stream = 2 * TOKENS * WIDTH  # bytes of one pass over the residual stream in bfloat16
    tiles = -(-WINDOWS // (attention._ROWS[torch.bfloat16] // LENGTH))
    norm_rows = -(-TOKENS // stream_norm._ROWS)
    norm_programs = min(stream_norm._PROGRAMS, norm_rows)
    norm_trips = (-(-norm_rows // norm_programs),)
    cell_bytes = TOKENS * 256
    return [
        Launch("attention", DEPTH, tiles * HEADS, (), 4 * stream),
        Launch("attention, backward", DEPTH, tiles * HEADS, (), 7 * stream),
        Launch("stream_norm", NORMS, norm_rows, (), 2 * stream),
        Launch("stream_norm, backward", NORMS, norm_programs, norm_trips, 4 * stream),
        Launch("token_norm", 1, norm_rows, (), 2 * stream + 8 * TOKENS),
        Launch("token_norm, backward", 1, norm_programs, norm_trips, 3 * stream),
        Launch("cells, square", 1, -(-TOKENS // cells._PATCHES), (), cell_bytes + 2 * cell_bytes),
        Launch("mask", 1, WINDOWS // mask._ROWS, (), 8 * WINDOWS * (1 + LENGTH)),
    ]


def kernel_terms(card: str) -> Iterator[Term]:
    """Yield the time of each kernel of one patch kind."""
    for launch in launches():
        function, types, constants = KERNELS[launch.kernel][:3]
        binary = compile_kernel(function, types, constants)
        memory = launch.moved_bytes / (0.85 * BANDWIDTHS[card])
        issue = launch.programs * binary.warps * binary.executed(launch.trips) / ISSUE_PER_SECOND
        limit = "memory" if memory > issue else "instructions"
        yield Term(launch.kernel, 1e6 * launch.times * max(memory, issue), limit)


def product_terms(card: str) -> Iterator[Term]:
    """Yield the time of each product of one patch kind."""
    for layer, ((n, k), rates) in GEMM_RATES.items():
        for direction, rate in zip(DIRECTIONS, rates, strict=True):
            if f"{layer}, {direction}" in FUSED:
                yield fused_term(f"{layer}, {direction}", n, k, rate, card)
            else:
                yield product_term(f"{layer}, {direction}", DEPTH, (n, k), rate, card)
    for product, rate in EMBEDDING_RATES.items():
        yield product_term(product, 1, (WIDTH, PATCH), rate, card)


def product_term(product: str, times: int, shape: tuple[int, int], rate: float, card: str) -> Term:
    """Return the time of a product with (N, K) that a library computes `times` in a step."""
    n, k = shape
    moved = 2 * (TOKENS * n + TOKENS * k + n * k)
    arithmetic, memory = 2 * TOKENS * n * k / (1e12 * rate), moved / (0.9 * BANDWIDTHS[card])
    limit = "arithmetic" if arithmetic > memory else "memory"
    return Term(product, 1e6 * times * max(arithmetic, memory), limit)


def fused_term(product: str, n: int, k: int, rate: float, card: str) -> Term:
    """Return the time of a product that a kernel with an epilogue computes.

    A tile takes 2 rows columns K / (4,096 * 0.8) clocks in the tensor cores, and its warp instructions / (4 * 0.8)
    clocks to issue. If two programs fit on a multiprocessor, one multiplies while the other is in its epilogue, and the
    longer of both times counts. Otherwise both count. The product is never faster than cuBLAS by the table of rates.
    """
    name, epilogue, passes = FUSED[product]
    function, types, constants, warps, stages = KERNELS[name]
    binary, tile = compile_kernel(function, types, constants, warps, stages), fused_linear.TILES[epilogue]
    inner, columns = constants["inner"], constants["width"]
    tensor = 2 * tile.rows * tile.columns * inner / (FLOPS_PER_CLOCK * 0.8)
    issue = warps * binary.executed([inner // tile.inner] * len(binary.loops)) / (4 * 0.8)
    programs = min(REGISTERS // (32 * warps * binary.registers), SHARED_BYTES // binary.shared_bytes)
    clocks = max(tensor, issue) if programs > 1 else tensor + issue
    tiles = -(-TOKENS // tile.rows) * -(-columns // tile.columns)
    memory = 2 * passes * TOKENS * WIDTH / (0.9 * BANDWIDTHS[card])
    times = {
        "arithmetic and instructions": tiles * clocks / 132 / 1.755e9,
        "arithmetic, as cuBLAS": 2 * TOKENS * n * k / (1e12 * rate),
        "memory": memory,
    }
    limit = max(times, key=lambda name: times[name])
    return Term(f"{product}: {name}", 1e6 * DEPTH * times[limit], limit)


def partial_sums_term(kinds: int, card: str) -> Term:
    """Return the time to stack the partial sums of all layers, which reads and writes them, and to read them again."""
    norms = (NORMS + kinds) * 3 * stream_norm._PROGRAMS * WIDTH
    biases = DEPTH * kinds * (TOKENS // fused_linear.TILES[fused_linear.SLOPE].rows) * HIDDEN
    return Term("partial sums", 1e6 * 3 * 4 * (norms + biases) / (0.85 * BANDWIDTHS[card]), "memory")


def step_terms(encoder: str, card: str) -> list[Term]:
    """Return all parts of a step, the largest first. A hybrid has both patch kinds in one pass, so twice the tokens."""
    kinds = 2 if encoder == "hybrid" else 1
    launched = LAUNCHES_PER_BLOCK * DEPTH + LAUNCHES_PER_KIND * kinds + OTHER_LAUNCHES
    per_kind = [*kernel_terms(card), *product_terms(card), Term("loss", CONSTANT_US["loss"], "constant")]
    once = [
        Term("Adam and copies", CONSTANT_US["Adam and copies"], "constant"),
        partial_sums_term(kinds, card),
        Term("gaps between launches", LAUNCH_US * launched, "constant"),
    ]
    if kinds > 1:  # their tokens are joined, and the gradients of what the trunk returns
        once.append(
            Term("joined patch kinds", 1e6 * kinds * 4 * 2 * TOKENS * WIDTH / (0.85 * BANDWIDTHS[card]), "memory")
        )
    terms = [Term(term.name, kinds * term.us, term.limit) for term in per_kind] + once
    return sorted(terms, key=lambda term: -term.us)


def table(encoder: str, card: str) -> list[str]:
    """Return the parts of a step as lines."""
    terms = step_terms(encoder, card)
    total = sum(term.us for term in terms) / 1e3
    lines = [f"{encoder} on an {card}: {total:.1f} ms a step (predicted, not measured)"]
    return lines + [f"  {term.us:8.0f} us  {term.name} ({term.limit})" for term in terms]


def evidence() -> list[dict[str, object]]:
    """Return what the binary of each kernel in bfloat16 says: registers, spills, widths of accesses, tensor cores."""
    return [{"kernel": name, **compile_kernel(*entry).facts()} for name, entry in KERNELS.items() if "fp32" not in name]


def main() -> None:
    """Print the prediction for both encoders and both cards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.json:
        parts = {
            f"{encoder} on {card}": [asdict(term) for term in step_terms(encoder, card)]
            for encoder in REQUIRED_MS
            for card in BANDWIDTHS
        }
        totals = {name: sum(term["us"] for term in terms) / 1e3 for name, terms in parts.items()}
        required = {"required_ms_on_h200": REQUIRED_MS}
        print(json.dumps({"predicted_ms": totals, **required, "terms": parts, "kernels": evidence()}))
        return
    for encoder in REQUIRED_MS:
        for card in BANDWIDTHS:
            print("\n".join(table(encoder, card)))
    for row in evidence():
        print(", ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
