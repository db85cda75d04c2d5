"""Predicted time of the training step on an H200 and an H100, from compiled kernels and a table of products.

    python tests/benchmarks/gpu/predictions.py [--json]

No GPU is needed. Changes of the step are judged by these numbers until measured ones replace them. The kernels are
compiled for compute capability 9.0, and their instructions are counted. A kernel takes as long as its bytes or its
instructions, whichever takes longer:

    bytes / (0.85 * bandwidth)   and   warp instructions / (132 multiprocessors * 4 per clock * 1.755 GHz * 0.8)

A product takes 2 M N K operations at a rate of `GEMM_RATES`, but at least its bytes / (0.9 * bandwidth). These rates are
opinions, unless a result of `ceilings.py` with measured ones is in the folder of results. The rest of a step is constant.

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

os.environ.pop("TRITON_INTERPRET", None)
sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

import compiled
from compiled_encoder_kernels import KERNELS

from model.encoder.kernels import add_norm, attention, cells, linear_gelu, mask

WINDOWS, LENGTH, DEPTH, WIDTH, HIDDEN, HEADS = 8_192, 5, 12, 384, 1_536, 6
TOKENS = WINDOWS * LENGTH
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
DIRECTIONS = ("forward", "input gradient", "weight gradient")
CONSTANT_US = {"loss": 300.0, "Adam and copies": 300.0}
"""Microseconds of a step; the loss once for each patch kind."""
PARTIAL_SUM_US, LAUNCH_US, LAUNCHES_PER_BLOCK = 8.0, 0.6, 26
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
    tiles = -(-WINDOWS // (attention._ROWS // LENGTH))
    gelu_rows = -(-TOKENS // linear_gelu._ROWS)
    gelu_columns = HIDDEN // linear_gelu._COLUMNS
    stripes = min(linear_gelu._STRIPES, gelu_rows)
    norm_rows = -(-TOKENS // add_norm._ROWS)
    norm_programs = min(add_norm._PROGRAMS, norm_rows)
    cell_bytes = TOKENS * 256
    return [
        Launch("attention", DEPTH, tiles * HEADS, (), 4 * stream),
        Launch("attention, backward", DEPTH, tiles * HEADS, (), 7 * stream),
        Launch("add_norm", 2 * DEPTH, norm_rows, (), 4 * stream),
        Launch("add_norm, backward", 2 * DEPTH, norm_programs, (-(-norm_rows // norm_programs),), 4 * stream),
        Launch("linear_gelu", DEPTH, gelu_rows * gelu_columns, (), 8 * stream),
        Launch("linear_gelu, backward", DEPTH, stripes * gelu_columns, (-(-gelu_rows // stripes),), 12 * stream),
        Launch("cells, square", 1, -(-TOKENS // cells._PATCHES), (), cell_bytes + 2 * cell_bytes),
        Launch("mask", 1, WINDOWS // mask._ROWS, (), 8 * WINDOWS * (1 + LENGTH)),
    ]


def kernel_terms(card: str) -> Iterator[Term]:
    """Yield the time of each kernel of one patch kind."""
    for launch in launches():
        function, types, constants = KERNELS[launch.kernel]
        binary = compiled.compile_kernel(function, types, constants)
        memory = launch.moved_bytes / (0.85 * BANDWIDTHS[card])
        issue = launch.programs * binary.warps * binary.executed(launch.trips) / ISSUE_PER_SECOND
        limit = "memory" if memory > issue else "instructions"
        yield Term(launch.kernel, 1e6 * launch.times * max(memory, issue), limit)


def product_terms(card: str) -> Iterator[Term]:
    """Yield the time of each product of one patch kind."""
    for layer, ((n, k), rates) in GEMM_RATES.items():
        moved = 2 * (TOKENS * n + TOKENS * k + n * k)
        for direction, rate in zip(DIRECTIONS, rates, strict=True):
            arithmetic, memory = 2 * TOKENS * n * k / (1e12 * rate), moved / (0.9 * BANDWIDTHS[card])
            limit = "arithmetic" if arithmetic > memory else "memory"
            yield Term(f"{layer}, {direction}", 1e6 * DEPTH * max(arithmetic, memory), limit)


def step_terms(encoder: str, card: str) -> list[Term]:
    """Return all parts of a step, the largest first. A hybrid has both patch kinds in one pass, so twice the tokens."""
    kinds = 2 if encoder == "hybrid" else 1
    per_kind = [*kernel_terms(card), *product_terms(card), Term("loss", CONSTANT_US["loss"], "constant")]
    once = [
        Term("Adam and copies", CONSTANT_US["Adam and copies"], "constant"),
        Term("partial sums", 3 * PARTIAL_SUM_US * DEPTH, "constant"),
        Term("gaps between launches", LAUNCH_US * LAUNCHES_PER_BLOCK * DEPTH, "constant"),
    ]
    terms = [Term(term.name, kinds * term.us, term.limit) for term in per_kind] + once
    return sorted(terms, key=lambda term: -term.us)


def table(encoder: str, card: str) -> list[str]:
    """Return the parts of a step as lines."""
    terms = step_terms(encoder, card)
    total = sum(term.us for term in terms) / 1e3
    lines = [f"{encoder} on an {card}: {total:.1f} ms a step (predicted, not measured)"]
    return lines + [f"  {term.us:8.0f} us  {term.name} ({term.limit})" for term in terms]


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
        print(json.dumps({"predicted_ms": totals, "required_ms_on_h200": REQUIRED_MS, "terms": parts}))
        return
    for encoder in REQUIRED_MS:
        for card in BANDWIDTHS:
            print("\n".join(table(encoder, card)))


if __name__ == "__main__":
    main()
