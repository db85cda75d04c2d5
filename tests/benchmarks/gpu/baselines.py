"""Training steps that are not ours: as the public code does it, and as one would write it today in plain PyTorch.

`python tests/benchmarks/gpu/baselines.py [--toy]`.

public    float32 without TF32; each view and each kind of patch its own pass; masks drawn on the CPU, window by window;
          all patches embedded, then gathered; PyTorch's default Adam.
modern    bf16 autocast, SDPA, both views in one pass, masks on the device by one top-k, torch.compile of forward and
          loss, fused Adam; all patches embedded and then gathered, as the public code does.
modern, gather first    the same, but what is masked is never embedded.

Windows are float32 mel power, on the device already: loading is nobody's here.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import record
import torch
import torch.nn.functional as F
from plain_vit import PlainLearner
from timing import median_ms, peak_gb

from model.encoder.config import EncoderConfig, PatchKind, preset
from model.encoder.masking_config import n_visible

PRESETS = {"base": "myna-base", "vertical": "myna-vertical", "hybrid": "myna-hybrid"}
PROJECTION_WIDTH, MASKING_RATIO, TEMPERATURE = 128, 0.9, 0.1


@dataclass(frozen=True)
class Form:
    """What tells one baseline from another."""

    name: str
    modern: bool
    gather_first: bool = False


FORMS = (Form("public", False), Form("modern", True), Form("modern, gather first", True, gather_first=True))


def encoder_config(name: str, toy: bool) -> EncoderConfig:
    """`base`, `vertical` or `hybrid`; tiny for toys."""
    chosen = preset(PRESETS[name])
    return replace(chosen, width=32, depth=1, heads=2, head_width=16, mlp_width=64) if toy else chosen


def masks_one_by_one(windows: int, patches: int, kept: int) -> torch.Tensor:
    """A random permutation for each window, on the CPU."""
    return torch.stack([torch.randperm(patches)[:kept] for _ in range(windows)])


def infonce(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """NT-Xent with the whole matrix, and autograd."""
    views = F.normalize(torch.cat((first, second)).float(), dim=1)
    logits = (views @ views.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(views), device=views.device).roll(len(first)))


class Baseline:
    """One form of the step, for one encoder; call it to train on both views `[2B, M, N]`, first ones first."""

    def __init__(self, form: Form, config: EncoderConfig, device: torch.device) -> None:
        torch.manual_seed(0)
        self.form, self.config, self.device = form, config, device
        self.learner = PlainLearner(config, PROJECTION_WIDTH, form.modern, form.gather_first).to(device)
        rate = {"lr": 3e-4, "weight_decay": 1e-5, "fused": True} if form.modern else {"lr": 3e-4, "weight_decay": 1e-5}
        self.adam = torch.optim.Adam(self.learner.parameters(), **rate)
        compiled = form.modern and device.type == "cuda"  # what compiling gains a CPU is another question
        self._loss = torch.compile(self._modern_loss) if compiled else self._modern_loss

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """One step; returns the loss."""
        self.adam.zero_grad(set_to_none=True)
        if self.form.modern:
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
            kept = n_visible(patches, MASKING_RATIO)
            sides = [
                self.learner(view, masks_one_by_one(len(view), patches, kept).to(self.device), kind)
                for view in windows.chunk(2)
            ]
            losses.append(infonce(*sides))
        return torch.stack(losses).mean()

    def _modern_loss(self, windows: torch.Tensor, visible: dict[PatchKind, torch.Tensor]) -> torch.Tensor:
        losses = []
        for kind, chosen in visible.items():
            with torch.autocast(self.device.type, torch.bfloat16):
                both = self.learner(windows, chosen, kind)
            losses.append(infonce(*both.chunk(2)))
        return torch.stack(losses).mean()

    def _topk(self, windows: int, patches: int) -> torch.Tensor:
        drawn = torch.rand(windows, patches, device=self.device)
        return drawn.topk(n_visible(patches, MASKING_RATIO), dim=1).indices


def windows_of(clips: int, config: EncoderConfig, device: torch.device) -> torch.Tensor:
    """Mel power like noise."""
    return torch.rand(2 * clips, config.n_mels, config.window_frames, device=device)


def step_of(form: Form, name: str, clips: int, device: torch.device) -> Callable[[], object]:
    """A baseline with its data, to be called again and again."""
    config = encoder_config(name, device.type != "cuda")
    step, windows = Baseline(form, config, device), windows_of(clips, config, device)
    return lambda: step(windows)


def free(device: torch.device) -> None:
    """Give back the device's memory that the last step held."""
    if device.type == "cuda":
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()


def _measure(told: record.Record, what: str, form: Form, name: str, clips: int, options: argparse.Namespace) -> None:
    device = record.device_of(options)
    step = step_of(form, name, clips, device)
    inner = 1 if options.toy or not form.modern else 5
    ms = median_ms({form.name: step}, device, options.rounds, inner)[form.name]
    told.add(what, ms=ms, peak_gb=peak_gb(step, device))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every form for every encoder."""
    parser = record.parser(__doc__)
    parser.add_argument("--encoders", nargs="+", choices=PRESETS, default=list(PRESETS), help="(all)")
    parser.add_argument("--clips", type=int, default=4_096, help="of a step, two windows each (4096)")
    options = parser.parse_args(arguments)
    device, told = record.device_of(options), record.Record("baselines", options)
    clips = 4 if options.toy else options.clips
    for name in options.encoders:
        for form in FORMS:
            what = f"step of {name}, {clips} x 2, {form.name}"
            told.attempt(what, lambda what=what, form=form, name=name: _measure(told, what, form, name, clips, options))
            free(device)
    told.finish()


if __name__ == "__main__":
    main()
