"""A rehearsal of every step with many clips of 96 frames: CPU seconds and memory of each, and how they grow.

    python tests/benchmarks/rehearsal.py --folder FOLDER 10000 100000 1000000

Nothing is decoded. The mels of a collection are written as an ingest writes them, with frames that compress to almost
nothing, and all other steps are the commands themselves. Each step runs in a process of its own, in the order of
`STEPS`. Its CPU time is counted after its imports and includes that of its workers. Its memory is the largest that is
not a mapped file, above that after the imports, and without that of its workers. Shards are not compressed, so a
million clips need 15 GB below FOLDER while they are there. The last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]
SAMPLE_SECONDS = 0.02


def run_step(step: str, clips: int, folder: Path) -> dict[str, float]:
    """Run a step in this process, and return its CPU seconds and its memory in MiB."""
    import many_clips

    action = many_clips.STEPS[step]()  # its imports
    before, base = _cpu_seconds(), _anonymous_mib()
    with _PeakMemory() as memory:
        action(folder, clips)
    return {"cpu_seconds": round(_cpu_seconds() - before, 3), "mib": round(max(0.0, memory.peak_mib - base), 1)}


def rehearse(folder: Path, clips: int, steps: Sequence[str]) -> dict[str, dict[str, float]]:
    """Run the steps for a number of clips, each in a process of its own, and return their costs by step."""
    home = folder / f"{clips}-clips"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    costs = {}
    try:
        for step in steps:
            costs[step] = _run_in_process(step, clips, home)
            print(f"{clips:>9} clips  {step:<10} {costs[step]['cpu_seconds']:>9.2f} s  {costs[step]['mib']:>8.1f} MiB")
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return costs


def slopes(costs: dict[int, dict[str, dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Return CPU seconds and MiB per 100,000 clips of each step between neighboring sizes, and their last ratio."""
    sizes, rows = sorted(costs), {}
    for step in costs[sizes[0]]:
        pairs = list(itertools.pairwise(sizes))
        seconds, mib = (
            [1e5 * (costs[b][step][unit] - costs[a][step][unit]) / (b - a) for a, b in pairs]
            for unit in ("cpu_seconds", "mib")
        )
        rows[step] = {"cpu_seconds": [round(s, 2) for s in seconds], "mib": [round(m, 1) for m in mib]}
        if len(pairs) > 1:
            rows[step]["ratio"] = round(seconds[-1] / max(seconds[-2], 1e-9), 2)
    return rows


def _run_in_process(step: str, clips: int, home: Path) -> dict[str, float]:
    words = [sys.executable, __file__, "--folder", str(home), "--step", step, str(clips)]
    environment = {**os.environ, "MYNA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=home, check=False)
    if finished.returncode:
        raise RuntimeError(f"{step} of {clips} clips failed:\n{finished.stdout[-2000:]}\n{finished.stderr[-4000:]}")
    costs: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return costs


class _PeakMemory:
    """The largest anonymous memory of this process while the body runs. Linux itself keeps that of mapped files too."""

    def __enter__(self) -> _PeakMemory:
        self.peak_mib, self._ended = _anonymous_mib(), threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self.peak_mib = max(self.peak_mib, _anonymous_mib())


def _anonymous_mib() -> float:
    match = re.search(r"RssAnon:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(match[1]) / 1024 if match else 0.0


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def main() -> None:
    """Run all steps for all sizes, or one step in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=int, nargs="+", help="numbers of clips, three of them for ratios")
    parser.add_argument("--folder", type=Path, required=True, help="folder with room for the stores")
    parser.add_argument("--step", help="run only this step, in this process")
    parser.add_argument("--steps", default="", help="steps to run, with commas (default: all)")
    words = parser.parse_args()
    if words.step:
        print(json.dumps(run_step(words.step, words.clips[0], words.folder)))
        return
    import many_clips

    start, steps = time.time(), words.steps.split(",") if words.steps else list(many_clips.STEPS)
    costs = {clips: rehearse(words.folder, clips, steps) for clips in words.clips}
    from pipeline.cluster.machine import processor_name

    machine = processor_name()
    result = {"benchmark": "rehearsal", "costs": costs, "slopes": slopes(costs), "seconds": round(time.time() - start)}
    print(json.dumps({**result, "machine": machine}))


if __name__ == "__main__":
    main()
