"""Mel on the device: ours by FFT against nnAudio's conv1d, which defines the mel, without TF32.

`python tests/benchmarks/gpu/mel.py [--toy]`. If the package nnAudio is not installed, only ours is timed. The
benchmark also checks that the two differ by at most 1e-4 of the loudest cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import record
import torch
from timing import peak_gb

from model.encoder.kernels.turn_timing import median_ms
from model.inference.batched_mel import BatchMel
from stores.mel_spec import MelSpec

SPEC = MelSpec()
MAX_DIFFERENCE = 1e-4
"""Largest accepted difference, as a share of the loudest cell."""


def nnaudio_mel(device: torch.device) -> torch.nn.Module:
    """Return the mel transform of the public code."""
    from nnAudio.features.mel import MelSpectrogram

    return MelSpectrogram(sr=SPEC.sample_rate_hz, verbose=False).to(device)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time both transforms in turn, and compare their results."""
    options = record.parser(__doc__).parse_args(arguments)
    device, results = record.device_of(options), record.BenchmarkResults("mel", options)
    torch.manual_seed(0)
    for clips, seconds in ((1, 1),) if options.toy else ((64, 10), (512, 10)):
        samples = 0.1 * torch.randn(clips, seconds * SPEC.sample_rate_hz, device=device)
        ours, name = BatchMel(SPEC, device), f"mel of {clips} x {seconds} s"
        calls = {"ours": lambda samples=samples, ours=ours: ours(samples)}
        if reason := record.missing("nnAudio"):
            results.skip(f"{name}, nnAudio", reason)
        else:
            theirs = nnaudio_mel(device)
            calls["nnAudio"] = lambda samples=samples, theirs=theirs: theirs(samples)
        with torch.inference_mode():
            times = median_ms(calls, device, options.rounds, 1 if options.toy else 5)
            for transform, ms in times.items():
                speed = clips * seconds / ms * 1e3
                results.add(
                    f"{name}, {transform}", ms=ms, times_real_time=speed, peak_gb=peak_gb(calls[transform], device)
                )
            if "nnAudio" in calls:
                expected = calls["nnAudio"]()
                difference = float((calls["ours"]() - expected).abs().max() / expected.max())
                results.add(
                    f"{name}, ratio",
                    ratio=times["nnAudio"] / times["ours"],
                    apart=difference,
                    within_1e_4=difference <= MAX_DIFFERENCE,
                )
    results.finish()


if __name__ == "__main__":
    main()
