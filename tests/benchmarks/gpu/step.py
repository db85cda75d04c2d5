"""Our training step: Base, Vertical and Hybrid at 4,096 x 2, synthetic and fed, beside baselines, and its GEMMs.

`python tests/benchmarks/gpu/step.py [--baselines] [--toy]`. Times are of a whole step with its optimizer. "fed" makes
every batch from clips that lie on the device, as a run does, the CPU's work included; "synthetic" repeats one batch.
Peak memory is without the data. The 100,000 steps of the paper are extrapolated from the fed step. Kernels are profiled
after everything was timed, since a profiler may slow down what comes after it.
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
from ceilings import GEMMS, gemm_calls
from timing import WARM_UP, median_ms

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
    """How much of everything."""

    clips: int
    """Of a batch."""
    stored: int
    """Clips that batches are made from."""


def config_of(name: str, sizes: Sizes, options: argparse.Namespace) -> TrainConfig:
    """The paper's settings for one encoder."""
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


class Trained:
    """A learner with all that moves it."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self.learner = learner.build_model(config).to(device)
        made = objective.build(config.objective, len(config.encoder.patch_kinds), config.samples).to(device)
        self.step = TrainingStep(self.learner, made, config, Quantizer())
        self.optimizer = optimizer.build(self.learner, config)
        self._number = itertools.count()

    def __call__(self, batch_of: Callable[[int], TrainingBatch]) -> None:
        """One more step."""
        number = next(self._number)
        self.optimizer.zero_grad(set_to_none=True)
        self.step.backward(batch_of(number), number)
        self.optimizer.step()


def step_tflop(config: TrainConfig) -> float:
    """Arithmetic of the trunk's products, forward and backward."""
    encoder = config.encoder
    inner = encoder.heads * encoder.head_width
    weights = encoder.depth * (4 * encoder.width * inner + 2 * encoder.width * encoder.mlp_width)
    return 6 * weights * tokens_of(config) / 1e12


def tokens_of(config: TrainConfig) -> int:
    """Visible tokens of a step, of both views and all kinds."""
    counts = config.encoder.patch_counts.values()
    return 2 * config.batch * sum(n_visible(patches, config.masking_ratio) for patches in counts)


def gemms_alone_ms(config: TrainConfig, device: torch.device, rounds: int) -> float:
    """The trunk's products and the patch embeddings' with nothing in between."""
    tokens, kinds = tokens_of(config), len(config.encoder.patch_kinds)
    blocks = sum(
        sum(median_ms(gemm_calls(tokens, n, k, device), device, rounds, 20).values()) for n, k in GEMMS
    )  # fmt: skip
    embedding = gemm_calls(tokens // kinds, config.encoder.width, 256, device)
    embedding.pop("input's gradient")  # nobody asks for it
    return config.encoder.depth * blocks + kinds * sum(median_ms(embedding, device, rounds, 20).values())


def gemms_inside_ms(step: Callable[[], object], told: record.Record, name: str, steps: int = 5) -> float:
    """What the profiler sees of matrix products in a step; the dearest kernels become rows."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
    times = {one.key: one.self_device_time_total / 1e3 / steps for one in seen.key_averages()}
    for kernel, ms in sorted(times.items(), key=lambda item: -item[1])[:25]:
        told.add(f"kernel of {name}", ms=ms, name=kernel[:90])
    told.add(f"all kernels of {name}", ms=sum(times.values()))
    return sum(ms for kernel, ms in times.items() if GEMM_KERNELS.search(kernel))


def measure(told: record.Record, name: str, sizes: Sizes, options: argparse.Namespace, device: torch.device) -> None:
    """All times of one encoder."""
    config, clips = config_of(name, sizes, options), batches.stored_clips(sizes.stored, device)
    synthetic = batches.one_batch(clips, config, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    trained = Trained(config, device)
    with batches.fed(clips, config, device) as fed:
        order = itertools.count()  # its own: batches are made ahead, of the steps that come next
        calls = {
            "synthetic": lambda: trained(lambda _: synthetic),
            "fed": lambda: trained(lambda _: fed.batch(next(order))),
        }
        times = median_ms(calls, device, options.rounds, 1 if options.toy else 20)
    peak = torch.cuda.max_memory_allocated() - before if device.type == "cuda" else float("nan")
    tflops = step_tflop(config) / times["synthetic"] * 1e3
    what, facts = _what(name, sizes, options), {"trunk_tflops": tflops, "peak_gb": peak / 1e9}
    told.add(f"{what}, synthetic", ms=times["synthetic"], **facts, captured=trained.step.captured)
    minutes = times["fed"] * PAPER_STEPS / 6e4
    told.add(f"{what}, fed", ms=times["fed"], over_synthetic=times["fed"] / times["synthetic"], paper_minutes=minutes)
    if options.baselines:
        _beside_baselines(told, what, name, calls["synthetic"], sizes, options, device)


def profile(told: record.Record, name: str, sizes: Sizes, options: argparse.Namespace, device: torch.device) -> None:
    """The dearest kernels of one encoder's step, and its products against the same products alone."""
    config, clips = config_of(name, sizes, options), batches.stored_clips(sizes.stored, device)
    synthetic, trained = batches.one_batch(clips, config, device), Trained(config, device)
    for _ in range(WARM_UP):
        trained(lambda _: synthetic)
    _measure_gemms(told, _what(name, sizes, options), config, lambda: trained(lambda _: synthetic), options)


def _what(name: str, sizes: Sizes, options: argparse.Namespace) -> str:
    return f"step of {name}, {options.objective}, {sizes.clips} x 2"


def _measure_gemms(
    told: record.Record, what: str, config: TrainConfig, step: Callable[[], object], options: argparse.Namespace
) -> None:
    inside = gemms_inside_ms(step, told, what)
    alone = gemms_alone_ms(config, torch.device("cuda"), options.rounds)
    told.add(f"{what}, gemms", inside_ms=inside, alone_ms=alone, share=alone / inside if inside else float("nan"))


def _beside_baselines(
    told: record.Record, what: str, name: str, ours: Callable[[], object], sizes: Sizes, options: argparse.Namespace,
    device: torch.device,
) -> None:  # fmt: skip
    for form in baselines.FORMS:

        def both(form: baselines.Form = form) -> None:
            """Ours and this baseline, in turn."""
            theirs = baselines.step_of(form, name, sizes.clips, device)
            inner = 1 if options.toy else 5 if form.modern else 3
            times = median_ms({"ours": ours, "theirs": theirs}, device, options.rounds, inner)
            told.add(f"{what}, against {form.name}", **times, ratio=times["theirs"] / times["ours"])

        told.attempt(f"{what}, against {form.name}", both)
        baselines.free(device)


def main(arguments: Sequence[str] | None = None) -> None:
    """The whole table."""
    parser = record.parser(__doc__)
    parser.add_argument("--encoders", nargs="+", choices=baselines.PRESETS, default=list(baselines.PRESETS))
    parser.add_argument("--clips", type=int, default=4_096, help="of a step, two windows each (4096)")
    parser.add_argument("--stored", type=int, default=50_000, help="clips on the device, 40 kB each (50000)")
    parser.add_argument("--masking-ratio", type=float, default=0.9, help="share of patches hidden (0.9)")
    parser.add_argument("--objective", default="infonce", help="preset (infonce)")
    parser.add_argument("--baselines", action="store_true", help="and the baseline steps in the same process")
    options = parser.parse_args(arguments)
    device, told = record.device_of(options), record.Record("step", options)
    sizes = Sizes(4, 9) if options.toy else Sizes(options.clips, options.stored)
    for name in options.encoders:
        told.attempt(f"step of {name}", lambda name=name: measure(told, name, sizes, options, device))
        baselines.free(device)
    for name in options.encoders if device.type == "cuda" else ():
        what = f"{_what(name, sizes, options)}, gemms"
        told.attempt(what, lambda name=name: profile(told, name, sizes, options, device))
        baselines.free(device)
    told.finish()


if __name__ == "__main__":
    main()
