"""What the machine can do: GEMMs of the step, copies to the device, attention over five tokens, InfoNCE.

`python tests/benchmarks/gpu/ceilings.py [--toy]`. GEMMs and copies bound the step from below; attention and loss are
shown as PyTorch has them and as we have them.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
from collections.abc import Callable, Sequence
from unittest import mock

import record
import torch
import torch.nn.functional as F
from timing import captured, median_ms

from model.encoder.kernels.attention import attend
from model.objectives import contrast, objective
from model.objectives.config import preset
from model.objectives.infonce import infonce
from model.objectives.kernels import log_normalizers, repulsion

# (N, K) of the products of a block, ViT-S: to_qkv, to_out, and both of the perceptron
GEMMS = ((1152, 384), (384, 384), (1536, 384), (384, 1536))
TOKENS = (40_960, 81_920)
SETS = 4
"""Of matrices: a product moves 52 MB or more, and an H200 has 60 MB of cache."""
LEN, HEADS, HEAD_WIDTH = 5, 6, 64


def gemm_calls(tokens: int, n: int, k: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """A linear layer's three products, in bfloat16, each into memory that is there.

    They go round several sets of matrices, or the second time they would come from the cache, as in no step.
    """
    sets = itertools.cycle([_Layer(tokens, n, k, device) for _ in range(SETS)])
    return {
        "forward": lambda: next(sets).forward(),
        "input's gradient": lambda: next(sets).of_input(),
        "weight's gradient": lambda: next(sets).of_weight(),
    }


class _Layer:
    """Matrices of one linear layer."""

    def __init__(self, tokens: int, n: int, k: int, device: torch.device) -> None:
        sizes = ((tokens, k), (n, k), (tokens, n))
        self.x, self.w, self.of_y = (torch.randn(*size, device=device).bfloat16() for size in sizes)
        self.y, self.of_x, self.of_w = (torch.empty_like(one) for one in (self.of_y, self.x, self.w))

    def forward(self) -> None:
        torch.mm(self.x, self.w.T, out=self.y)

    def of_input(self) -> None:
        torch.mm(self.of_y, self.w, out=self.of_x)

    def of_weight(self) -> None:
        torch.mm(self.of_y.T, self.x, out=self.of_w)


def measure_gemms(told: record.Record, options: argparse.Namespace, device: torch.device) -> None:
    """TFLOP/s of every product, and of all of a step's trunk."""
    for tokens in (32, 64) if options.toy else TOKENS:
        total = 0.0
        for n, k in GEMMS:
            times = median_ms(gemm_calls(tokens, n, k, device), device, options.rounds, 1 if options.toy else 20)
            total += sum(times.values())
            for name, ms in times.items():
                told.add(f"gemm M {tokens} N {n} K {k}, {name}", ms=ms, tflops=2 * tokens * n * k / ms / 1e9)
        told.add(f"gemms of 12 blocks, M {tokens}, forward and backward", ms=12 * total)


def measure_copies(told: record.Record, options: argparse.Namespace, device: torch.device) -> None:
    """Pinned memory to the device, at the sizes a step may need."""
    sizes = {"visible patches": 10_485_760, "windows": 100_663_296, "a quarter of a GB": 1 << 28}
    for name, size_bytes in sizes.items():
        size_bytes //= 1000 if options.toy else 1
        host = torch.zeros(size_bytes, dtype=torch.uint8, pin_memory=device.type == "cuda")
        there = torch.empty_like(host, device=device)
        ms = median_ms({name: lambda a=there, b=host: a.copy_(b, non_blocking=True)}, device, options.rounds)[name]
        told.add(f"copy to the device, {name}", ms=ms, gb_per_s=size_bytes / ms / 1e6, bytes=size_bytes)


def sdpa(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    """PyTorch's attention."""
    query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def decomposed(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention as one reads it in papers."""
    query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    scores = (query @ key.mT * query.shape[-1] ** -0.5).softmax(dim=-1)
    return (scores @ value).transpose(1, 2).flatten(2)


def measure_attention(told: record.Record, options: argparse.Namespace, device: torch.device) -> None:
    """Forward and backward over few tokens."""
    forms = {"sdpa": sdpa, "decomposed": decomposed, "ours": attend}
    for windows in (3, 6) if options.toy else (8_192, 16_384):
        qkv = torch.randn(windows, LEN, 3 * HEADS * HEAD_WIDTH, device=device).bfloat16().requires_grad_()
        pull = torch.randn(windows, LEN, HEADS * HEAD_WIDTH, device=device).bfloat16()
        calls = {
            name: captured(
                lambda form=form, qkv=qkv, pull=pull: torch.autograd.grad(form(qkv, HEADS), qkv, pull), device
            )
            for name, form in forms.items()
        }
        times = median_ms(calls, device, options.rounds)
        moved = 11 * windows * LEN * HEADS * HEAD_WIDTH * 2  # bytes: forward 3 in, 1 out; backward 4 in, 3 out
        for name, ms in times.items():
            told.add(f"attention of {windows} x {LEN}, {name}", ms=ms, gb_per_s=moved / ms / 1e6)


def plain_infonce(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """`infonce` by plain PyTorch on any device."""
    with contextlib.ExitStack() as plain:
        for module in (contrast, log_normalizers, repulsion):
            plain.enter_context(mock.patch.object(module, "uses_kernels", return_value=False))
        return infonce(first, second, temperature)


def naive_infonce(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """NT-Xent as one finds it in public code: the whole matrix, and autograd."""
    views = F.normalize(torch.cat((first, second)).float(), dim=1)
    logits = (views @ views.T / temperature).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(views), device=views.device).roll(len(first)))


def measure_loss(told: record.Record, options: argparse.Namespace, device: torch.device) -> None:
    """InfoNCE of 8,192 views, forward and backward; how far each is from the naive one in float32."""
    forms = {"ours": infonce, "ours, plain": plain_infonce, "naive": naive_infonce}
    clips, width = (8, 16) if options.toy else (4_096, 128)
    for dtype in (torch.bfloat16, torch.float32):
        sides = tuple(torch.randn(clips, width, device=device).to(dtype).requires_grad_() for _ in range(2))
        exact = torch.cat(torch.autograd.grad(naive_infonce(*sides, 0.1), sides)).float()
        calls = {
            name: captured(lambda form=form, sides=sides: torch.autograd.grad(form(*sides, 0.1), sides), device)
            for name, form in forms.items()
        }
        for name, ms in median_ms(calls, device, options.rounds, 1 if options.toy else 10).items():
            apart = torch.cat(calls[name]()).float() - exact
            told.add(
                f"infonce of {2 * clips} x {width}, {str(dtype).removeprefix('torch.')}, {name}",
                ms=ms,
                gradient_error=float(apart.norm() / exact.norm()),
            )
        remembers = objective.build(preset("isogclr"), 1, 2 * clips).to(device)
        indices = torch.arange(clips, device=device)
        call = captured(
            lambda r=remembers, sides=sides, i=indices: torch.autograd.grad(r(*sides, i, 0, None), sides), device
        )
        ms = median_ms({"isogclr": call}, device, options.rounds, 1 if options.toy else 10)["isogclr"]
        told.add(f"isogclr of {2 * clips} x {width}, {str(dtype).removeprefix('torch.')}", ms=ms)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything."""
    parser = record.parser(__doc__)
    parser.add_argument("--only", choices=("gemms", "copies", "attention", "loss"), action="append", help="(all)")
    options = parser.parse_args(arguments)
    device, told = record.device_of(options), record.Record("ceilings", options)
    parts = {"gemms": measure_gemms, "copies": measure_copies, "attention": measure_attention, "loss": measure_loss}
    for name, part in parts.items():
        if name in (options.only or parts):
            told.attempt(name, lambda part=part: part(told, options, device))
    told.finish()


if __name__ == "__main__":
    main()
