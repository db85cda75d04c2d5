"""Limits of the machine: GEMMs of the step, copies to the device, attention over five tokens, and InfoNCE.

`python tests/benchmarks/gpu/ceilings.py [--toy]`. GEMMs and copies are a lower bound for the time of the step.
Attention and the loss are measured in PyTorch's form and in ours. The products of the trunk are measured by each
implementation, as a training chooses among them, without reading or writing the file of choices.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from unittest import mock

import baselines
import record
import torch
import torch.nn.functional as F
from timing import capture

from model.encoder.kernels import product_choice
from model.encoder.kernels.attention import attend
from model.encoder.kernels.products import products_of_trunk
from model.encoder.kernels.turn_timing import median_ms
from model.objectives import contrast, objective
from model.objectives.config import preset
from model.objectives.infonce import infonce
from model.objectives.kernels import log_normalizers, repulsion

# (N, K) of the products of a block of ViT-S: to_qkv, to_out, and both layers of the feed-forward network
GEMMS = ((1152, 384), (384, 384), (1536, 384), (384, 1536))
TOKENS = (40_960, 81_920)
MATRIX_SETS = 4
"""Number of sets of matrices. A product moves 52 MB or more, and an H200 has 60 MB of cache."""
LEN, HEADS, HEAD_WIDTH = 5, 6, 64


def gemm_calls(tokens: int, n: int, k: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """Return the three products of a linear layer in bfloat16, each with preallocated output.

    The calls cycle through several sets of matrices. With a single set the matrices would come from the cache, which
    does not happen in a training step.
    """
    sets = itertools.cycle([_Layer(tokens, n, k, device) for _ in range(MATRIX_SETS)])
    return {
        "forward": lambda: next(sets).forward(),
        "input's gradient": lambda: next(sets).input_gradient(),
        "weight's gradient": lambda: next(sets).weight_gradient(),
    }


class _Layer:
    """Matrices of one linear layer: input x, weight w, output y, and their gradients."""

    def __init__(self, tokens: int, n: int, k: int, device: torch.device) -> None:
        sizes = ((tokens, k), (n, k), (tokens, n))
        self.x, self.w, self.grad_y = (torch.randn(*size, device=device).bfloat16() for size in sizes)
        self.y, self.grad_x, self.grad_w = (torch.empty_like(matrix) for matrix in (self.grad_y, self.x, self.w))

    def forward(self) -> None:
        torch.mm(self.x, self.w.T, out=self.y)

    def input_gradient(self) -> None:
        torch.mm(self.grad_y, self.w, out=self.grad_x)

    def weight_gradient(self) -> None:
        torch.mm(self.grad_y.T, self.x, out=self.grad_w)


def measure_gemms(results: record.BenchmarkResults, options: argparse.Namespace, device: torch.device) -> None:
    """Measure the time and TFLOP/s of every product, and the time of all products of a step's trunk."""
    for tokens in (32, 64) if options.toy else TOKENS:
        total = 0.0
        for n, k in GEMMS:
            times = median_ms(gemm_calls(tokens, n, k, device), device, options.rounds, 1 if options.toy else 20)
            total += sum(times.values())
            for name, ms in times.items():
                results.add(f"gemm M {tokens} N {n} K {k}, {name}", ms=ms, tflops=2 * tokens * n * k / ms / 1e9)
        results.add(f"gemms of 12 blocks, M {tokens}, forward and backward", ms=12 * total)


def measure_products(results: record.BenchmarkResults, options: argparse.Namespace, device: torch.device) -> None:
    """Measure each product of the trunk by each implementation, and name the chosen and the rejected ones."""
    encoder = baselines.encoder_config("base", options.toy)
    timer = partial(median_ms, device=device, rounds=options.rounds, inner=1 if options.toy else 10)
    for tokens in (8,) if options.toy else TOKENS:
        for product in products_of_trunk(encoder, tokens):
            add_choice(results, product_choice.measure(product, device, timer))


def add_choice(results: record.BenchmarkResults, choice: product_choice.ProductChoice) -> None:
    """Add a row with the chosen implementation of a product, the time of each, and the reasons against the others."""
    ms = choice.ms.get(choice.implementation)
    times = {f"{name}_ms": value for name, value in choice.ms.items()}
    results.add(f"product {choice.product}", chosen=choice.implementation, ms=ms, **times, rejected=choice.rejected)


def measure_copies(results: record.BenchmarkResults, options: argparse.Namespace, device: torch.device) -> None:
    """Measure copies from pinned memory to the device, in sizes that a step may need."""
    sizes = {"visible patches": 10_485_760, "windows": 100_663_296, "a quarter of a GB": 1 << 28}
    for name, size_bytes in sizes.items():
        size_bytes //= 1000 if options.toy else 1
        host = torch.zeros(size_bytes, dtype=torch.uint8, pin_memory=device.type == "cuda")
        target = torch.empty_like(host, device=device)
        ms = median_ms({name: lambda a=target, b=host: a.copy_(b, non_blocking=True)}, device, options.rounds)[name]
        results.add(f"copy to the device, {name}", ms=ms, gb_per_s=size_bytes / ms / 1e6, bytes=size_bytes)


def sdpa(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    """Return attention by PyTorch's function."""
    query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def decomposed(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    """Return attention as separate operations, as papers write it."""
    query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    scores = (query @ key.mT * query.shape[-1] ** -0.5).softmax(dim=-1)
    return (scores @ value).transpose(1, 2).flatten(2)


def measure_attention(results: record.BenchmarkResults, options: argparse.Namespace, device: torch.device) -> None:
    """Measure the forward and backward pass of attention over five tokens."""
    implementations = {"sdpa": sdpa, "decomposed": decomposed, "ours": attend}
    for windows in (3, 6) if options.toy else (8_192, 16_384):
        qkv = torch.randn(windows, LEN, 3 * HEADS * HEAD_WIDTH, device=device).bfloat16().requires_grad_()
        gradient = torch.randn(windows, LEN, HEADS * HEAD_WIDTH, device=device).bfloat16()
        calls = {
            name: capture(
                lambda function=function, qkv=qkv, gradient=gradient: torch.autograd.grad(
                    function(qkv, HEADS), qkv, gradient
                ),
                device,
            )
            for name, function in implementations.items()
        }
        times = median_ms(calls, device, options.rounds)
        # the forward pass reads 3 and writes 1 of the matrices, and the backward pass reads 4 and writes 3
        moved_bytes = 11 * windows * LEN * HEADS * HEAD_WIDTH * 2
        for name, ms in times.items():
            results.add(f"attention of {windows} x {LEN}, {name}", ms=ms, gb_per_s=moved_bytes / ms / 1e6)


def plain_infonce(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return our `infonce`, computed by plain PyTorch on any device."""
    with contextlib.ExitStack() as plain:
        for module in (contrast, log_normalizers, repulsion):
            plain.enter_context(mock.patch.object(module, "uses_kernels", return_value=False))
        return infonce(first, second, temperature)


def naive_infonce(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return InfoNCE as in the public code, from the whole matrix of similarities, for autograd."""
    views = F.normalize(torch.cat((first, second)).float(), dim=1)
    logits = (views @ views.T / temperature).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(views), device=views.device).roll(len(first)))


def measure_loss(results: record.BenchmarkResults, options: argparse.Namespace, device: torch.device) -> None:
    """Measure InfoNCE of 8,192 views, forward and backward, and the error of its gradient against the naive form."""
    implementations = {"ours": infonce, "ours, plain": plain_infonce, "naive": naive_infonce}
    clips, width = (8, 16) if options.toy else (4_096, 128)
    for dtype in (torch.bfloat16, torch.float32):
        sides = tuple(torch.randn(clips, width, device=device).to(dtype).requires_grad_() for _ in range(2))
        exact = torch.cat(torch.autograd.grad(naive_infonce(*sides, 0.1), sides)).float()
        calls = {
            name: capture(
                lambda function=function, sides=sides: torch.autograd.grad(function(*sides, 0.1), sides), device
            )
            for name, function in implementations.items()
        }
        for name, ms in median_ms(calls, device, options.rounds, 1 if options.toy else 10).items():
            difference = torch.cat(calls[name]()).float() - exact
            results.add(
                f"infonce of {2 * clips} x {width}, {str(dtype).removeprefix('torch.')}, {name}",
                ms=ms,
                gradient_error=float(difference.norm() / exact.norm()),
            )
        global_loss = objective.build(preset("isogclr"), 1, 2 * clips).to(device)
        indices = torch.arange(clips, device=device)
        call = capture(
            lambda loss=global_loss, sides=sides, i=indices: torch.autograd.grad(loss(*sides, i, 0, None), sides),
            device,
        )
        ms = median_ms({"isogclr": call}, device, options.rounds, 1 if options.toy else 10)["isogclr"]
        results.add(f"isogclr of {2 * clips} x {width}, {str(dtype).removeprefix('torch.')}", ms=ms)


PARTS = {
    "gemms": measure_gemms,
    "copies": measure_copies,
    "attention": measure_attention,
    "loss": measure_loss,
    "products": measure_products,
}
"""Parts by name, in their order."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all parts, or those of `--only`."""
    parser = record.parser(__doc__)
    parser.add_argument(
        "--only",
        choices=PARTS,
        action="append",
        help="part to measure (default: all)",
    )
    options = parser.parse_args(arguments)
    device, results = record.device_of(options), record.BenchmarkResults("ceilings", options)
    for name, measure in PARTS.items():
        if name in (options.only or PARTS):
            results.attempt(name, partial(measure, results, options, device))
    results.finish()


if __name__ == "__main__":
    main()
