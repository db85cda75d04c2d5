"""Baseline training steps: the step of the public code, and modern steps in plain PyTorch.

`python tests/benchmarks/gpu/baselines.py [--toy]`. There are three variants:

public    float32 without TF32, a separate pass for each view and each kind of patch, masks drawn on the CPU one window
          at a time, all patches embedded before they are gathered, and PyTorch's default Adam
modern    bf16 autocast, SDPA, both views in one pass, masks drawn on the device by one top-k, torch.compile of forward
          pass and loss, and fused Adam. All patches are embedded before they are gathered, as in the public code
modern, gather first    the same, except that only the visible patches are embedded

The windows are float32 mel power on the device, so no variant includes loading.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import record
import torch
import torch.nn.functional as F
from plain_vit import PlainModelWithHead
from timing import peak_gb

from model.encoder.config import EncoderConfig, PatchKind, preset
from model.encoder.kernels.turn_timing import median_ms
from model.encoder.masking_config import n_visible

PRESETS = {"base": "myna-base", "vertical": "myna-vertical", "hybrid": "myna-hybrid"}
PROJECTION_WIDTH, MASKING_RATIO, TEMPERATURE = 128, 0.9, 0.1


@dataclass(frozen=True)
class Variant:
    """A variant of the baseline."""

    name: str
    """Name in the rows."""
    modern: bool
    """Use bf16, SDPA, torch.compile and fused Adam instead of the public code's step."""
    gather_first: bool = False
    """Gather the visible patches before they are embedded."""


VARIANTS = (
    Variant("public", False),
    Variant("modern", True),
    Variant("modern, gather first", True, gather_first=True),
)


def encoder_config(name: str, toy: bool) -> EncoderConfig:
    """Return the configuration of `base`, `vertical` or `hybrid`, or with `toy` a tiny one with the same patches."""
    config = preset(PRESETS[name])
    return replace(config, width=32, depth=1, heads=2, head_width=16, mlp_width=64) if toy else config


def masks_by_permutation(windows: int, patches: int, visible: int) -> torch.Tensor:
    """Return the indices of the visible patches `[windows, visible]`, from one permutation per window on the CPU."""
    return torch.stack([torch.randperm(patches)[:visible] for _ in range(windows)])


def infonce(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the InfoNCE (NT-Xent) loss from the whole matrix of similarities, for autograd."""
    views = F.normalize(torch.cat((first, second)).float(), dim=1)
    logits = (views @ views.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(views), device=views.device).roll(len(first)))


class Baseline:
    """One variant of the training step for one encoder."""

    def __init__(self, variant: Variant, config: EncoderConfig, device: torch.device) -> None:
        torch.manual_seed(0)
        self.variant, self.config, self.device = variant, config, device
        self.model = PlainModelWithHead(config, PROJECTION_WIDTH, variant.modern, variant.gather_first).to(device)
        settings = {"lr": 3e-4, "weight_decay": 1e-5} | ({"fused": True} if variant.modern else {})
        self.adam = torch.optim.Adam(self.model.parameters(), **settings)
        is_compiled = variant.modern and device.type == "cuda"  # on a CPU there are only toy runs
        self._loss = torch.compile(self._modern_loss) if is_compiled else self._modern_loss

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """Run one step on both views `[2B, M, N]`, all first views before all second views, and return the loss."""
        self.adam.zero_grad(set_to_none=True)
        if self.variant.modern:
            visible = {kind: self._topk(len(windows), patches) for kind, patches in self.config.patch_counts.items()}
            loss = self._loss(windows, visible)
        else:
            loss = self._public_loss(windows)
        loss.backward()
        self.adam.step()
        return loss.detach()

    def _public_loss(self, windows: torch.Tensor) -> torch.Tensor:
        losses = []
        for kind, patches in self.config.patch_counts.items():
            visible = n_visible(patches, MASKING_RATIO)
            sides = [
                self.model(view, masks_by_permutation(len(view), patches, visible).to(self.device), kind)
                for view in windows.chunk(2)
            ]
            losses.append(infonce(*sides))
        return torch.stack(losses).mean()

    def _modern_loss(self, windows: torch.Tensor, visible: dict[PatchKind, torch.Tensor]) -> torch.Tensor:
        losses = []
        for kind, indices in visible.items():
            with torch.autocast(self.device.type, torch.bfloat16):
                projections = self.model(windows, indices, kind)
            losses.append(infonce(*projections.chunk(2)))
        return torch.stack(losses).mean()

    def _topk(self, windows: int, patches: int) -> torch.Tensor:
        random = torch.rand(windows, patches, device=self.device)
        return random.topk(n_visible(patches, MASKING_RATIO), dim=1).indices


def random_windows(clips: int, config: EncoderConfig, device: torch.device) -> torch.Tensor:
    """Return uniform random mel power `[2 * clips, M, N]`."""
    return torch.rand(2 * clips, config.n_mels, config.window_frames, device=device)


def baseline_step(variant: Variant, name: str, clips: int, device: torch.device) -> Callable[[], object]:
    """Return a function that runs a step of a baseline on the same random windows in each call."""
    config = encoder_config(name, device.type != "cuda")
    step, windows = Baseline(variant, config, device), random_windows(clips, config, device)
    return lambda: step(windows)


def free(device: torch.device) -> None:
    """Release the GPU memory of the last step."""
    if device.type == "cuda":
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()


def _measure(
    results: record.BenchmarkResults, title: str, variant: Variant, name: str, clips: int, options: argparse.Namespace
) -> None:
    device = record.device_of(options)
    step = baseline_step(variant, name, clips, device)
    inner = 1 if options.toy or not variant.modern else 5
    ms = median_ms({variant.name: step}, device, options.rounds, inner)[variant.name]
    results.add(title, ms=ms, peak_gb=peak_gb(step, device))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every variant for every encoder."""
    parser = record.parser(__doc__)
    parser.add_argument(
        "--encoders", nargs="+", choices=PRESETS, default=list(PRESETS), help="encoders to measure (default: all)"
    )
    parser.add_argument(
        "--clips", type=int, default=4_096, help="clips per step, with two windows each (default: 4096)"
    )
    options = parser.parse_args(arguments)
    device, results = record.device_of(options), record.BenchmarkResults("baselines", options)
    clips = 4 if options.toy else options.clips
    for name in options.encoders:
        for variant in VARIANTS:
            title = f"step of {name}, {clips} x 2, {variant.name}"
            measure = partial(_measure, results, title, variant, name, clips, options)
            results.attempt(title, measure)
            free(device)
    results.finish()


if __name__ == "__main__":
    main()
