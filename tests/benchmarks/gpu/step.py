"""Our training step: Base, Vertical and Hybrid at 4,096 x 2, compared with the baselines and with its own GEMMs.

`python tests/benchmarks/gpu/step.py [--baselines] [--toy]`. Each time includes the optimizer. Rows with "fed" make each
batch from clips on the device, as a run does, including the work of the CPU. Rows with "synthetic" repeat one batch.
Peak memory excludes the data. The time of the paper's 100,000 steps is extrapolated from the fed step. Kernels are
profiled after all timings, because a profiler may slow down what runs after it.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import baselines
import batches
import record
import torch
from ceilings import GEMMS, add_choice, gemm_calls

from model.encoder.kernels.turn_timing import WARM_UP, median_ms
from model.encoder.masking_config import n_visible
from model.objectives import objective
from model.objectives.config import preset as objective_preset
from model.training import learner, optimizer
from model.training.config import TrainConfig
from model.training.step import TrainingStep
from model.training.stream import TrainingBatch
from stores.quantize import Quantizer

PAPER_STEPS = 100_000
GEMM_KERNELS = re.compile(r"gemm|nvjet|cutlass|xmma|cublas", re.IGNORECASE)


@dataclass(frozen=True)
class Sizes:
    """Numbers of clips."""

    clips: int
    """Clips of a batch."""
    stored: int
    """Clips on the device, from which batches are made."""


def config_of(name: str, sizes: Sizes, options: argparse.Namespace) -> TrainConfig:
    """Return the settings of the paper for one encoder."""
    return TrainConfig(
        encoder=baselines.encoder_config(name, options.toy),
        shards="none",
        samples=sizes.stored,
        objective=objective_preset(options.objective),
        batch=sizes.clips,
        steps=PAPER_STEPS,
        masking_ratio=options.masking_ratio,
        precision="fp32" if options.toy else "bf16",
    )


class Trainer:
    """A model with head, its training step and its optimizer."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        model = learner.build_model(config).to(device)
        objective_module = objective.build(config.objective, len(config.encoder.patch_kinds), config.samples).to(device)
        self.step = TrainingStep(model, objective_module, config, Quantizer())
        self.optimizer = optimizer.build(model, config)
        self._steps = itertools.count()

    def __call__(self, batch_of: Callable[[int], TrainingBatch]) -> None:
        """Run the next step on the batch that `batch_of` returns for its number."""
        number = next(self._steps)
        self.optimizer.zero_grad(set_to_none=True)
        self.step.backward(batch_of(number), number)
        self.optimizer.step()


def step_tflop(config: TrainConfig) -> float:
    """Return the TFLOP of the trunk's matrix products, forward and backward."""
    encoder = config.encoder
    inner = encoder.heads * encoder.head_width
    weights = encoder.depth * (4 * encoder.width * inner + 2 * encoder.width * encoder.mlp_width)
    return 6 * weights * tokens_of(config) / 1e12


def tokens_of(config: TrainConfig) -> int:
    """Return the number of visible tokens of a step, over both views and all kinds of patches."""
    counts = config.encoder.patch_counts.values()
    return 2 * config.batch * sum(n_visible(patches, config.masking_ratio) for patches in counts)


def gemms_alone_ms(config: TrainConfig, device: torch.device, rounds: int) -> float:
    """Return the time of the matrix products of the trunk and the patch embeddings alone."""
    tokens, kinds = tokens_of(config), len(config.encoder.patch_kinds)
    blocks = sum(
        sum(median_ms(gemm_calls(tokens, n, k, device), device, rounds, 20).values()) for n, k in GEMMS
    )  # fmt: skip
    embedding = gemm_calls(tokens // kinds, config.encoder.width, 256, device)
    embedding.pop("input's gradient")  # no step computes it
    return config.encoder.depth * blocks + kinds * sum(median_ms(embedding, device, rounds, 20).values())


def gemms_inside_ms(step: Callable[[], object], results: record.BenchmarkResults, name: str, steps: int = 5) -> float:
    """Return the profiled time of the matrix products in a step, and add rows of the most expensive kernels."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
    times = {event.key: event.self_device_time_total / 1e3 / steps for event in profiler.key_averages()}
    for kernel, ms in sorted(times.items(), key=lambda item: -item[1])[:25]:
        results.add(f"kernel of {name}", ms=ms, name=kernel[:90])
    results.add(f"all kernels of {name}", ms=sum(times.values()))
    return sum(ms for kernel, ms in times.items() if GEMM_KERNELS.search(kernel))


def measure(
    results: record.BenchmarkResults, name: str, sizes: Sizes, options: argparse.Namespace, device: torch.device
) -> None:
    """Add rows with all times of one encoder."""
    config, clips = config_of(name, sizes, options), batches.stored_clips(sizes.stored, device)
    synthetic = batches.one_batch(clips, config, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    trainer = Trainer(config, device)
    with batches.prefetched(clips, config, device) as prefetch:
        order = itertools.count()  # separate from the trainer's count, because the prefetch expects consecutive steps
        calls = {
            "synthetic": lambda: trainer(lambda _: synthetic),
            "fed": lambda: trainer(lambda _: prefetch.batch(next(order))),
        }
        times = median_ms(calls, device, options.rounds, 1 if options.toy else 20)
    peak = torch.cuda.max_memory_allocated() - before if device.type == "cuda" else float("nan")
    tflops = step_tflop(config) / times["synthetic"] * 1e3
    title, rates = _title(name, sizes, options), {"trunk_tflops": tflops, "peak_gb": peak / 1e9}
    for choice in trainer.step.product_choices:
        add_choice(results, choice)
    results.add(f"{title}, synthetic", ms=times["synthetic"], **rates, captured=trainer.step.captured)
    minutes = times["fed"] * PAPER_STEPS / 6e4
    results.add(
        f"{title}, fed", ms=times["fed"], over_synthetic=times["fed"] / times["synthetic"], paper_minutes=minutes
    )
    if options.baselines:
        _compare_with_baselines(results, title, name, calls["synthetic"], sizes, options, device)


def profile(
    results: record.BenchmarkResults, name: str, sizes: Sizes, options: argparse.Namespace, device: torch.device
) -> None:
    """Add rows of the most expensive kernels of a step, and compare its matrix products with those products alone."""
    config, clips = config_of(name, sizes, options), batches.stored_clips(sizes.stored, device)
    synthetic, trainer = batches.one_batch(clips, config, device), Trainer(config, device)
    for _ in range(WARM_UP):
        trainer(lambda _: synthetic)
    _measure_gemms(results, _title(name, sizes, options), config, lambda: trainer(lambda _: synthetic), options)


def _title(name: str, sizes: Sizes, options: argparse.Namespace) -> str:
    return f"step of {name}, {options.objective}, {sizes.clips} x 2"


def _measure_gemms(
    results: record.BenchmarkResults,
    title: str,
    config: TrainConfig,
    step: Callable[[], object],
    options: argparse.Namespace,
) -> None:
    inside = gemms_inside_ms(step, results, title)
    alone = gemms_alone_ms(config, torch.device("cuda"), options.rounds)
    results.add(f"{title}, gemms", inside_ms=inside, alone_ms=alone, share=alone / inside if inside else float("nan"))


def _compare_with_baselines(
    results: record.BenchmarkResults,
    title: str,
    name: str,
    ours: Callable[[], object],
    sizes: Sizes,
    options: argparse.Namespace,
    device: torch.device,
) -> None:
    for variant in baselines.VARIANTS:

        def compare(variant: baselines.Variant = variant) -> None:
            """Time our step and this baseline in turn."""
            theirs = baselines.baseline_step(variant, name, sizes.clips, device)
            inner = 1 if options.toy else 5 if variant.modern else 3
            times = median_ms({"ours": ours, "theirs": theirs}, device, options.rounds, inner)
            results.add(f"{title}, against {variant.name}", **times, ratio=times["theirs"] / times["ours"])

        results.attempt(f"{title}, against {variant.name}", compare)
        baselines.free(device)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every encoder, and profile it on a GPU."""
    parser = record.parser(__doc__)
    parser.add_argument(
        "--encoders",
        nargs="+",
        choices=baselines.PRESETS,
        default=list(baselines.PRESETS),
        help="encoders to measure (default: all)",
    )
    parser.add_argument(
        "--clips", type=int, default=4_096, help="clips per step, with two windows each (default: 4096)"
    )
    parser.add_argument("--stored", type=int, default=50_000, help="clips on the device, 40 kB each (default: 50000)")
    parser.add_argument(
        "--masking-ratio", type=float, default=0.9, help="share of the patches that is hidden (default: 0.9)"
    )
    parser.add_argument("--objective", default="infonce", help="preset of the objective (default: infonce)")
    parser.add_argument("--baselines", action="store_true", help="also time the baseline steps in the same process")
    options = parser.parse_args(arguments)
    device, results = record.device_of(options), record.BenchmarkResults("step", options)
    sizes = Sizes(4, 9) if options.toy else Sizes(options.clips, options.stored)
    for name in options.encoders:
        results.attempt(f"step of {name}", lambda name=name: measure(results, name, sizes, options, device))
        baselines.free(device)
    for name in options.encoders if device.type == "cuda" else ():
        title = f"{_title(name, sizes, options)}, gemms"
        results.attempt(title, lambda name=name: profile(results, name, sizes, options, device))
        baselines.free(device)
    results.finish()


if __name__ == "__main__":
    main()
