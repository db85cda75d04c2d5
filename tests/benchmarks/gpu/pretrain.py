"""Does the paper's order hold? Base, Vertical, Hybrid and MAE, each at 90, 75 and 50 % masking, at equal steps.

`python tests/benchmarks/gpu/pretrain.py [--plan] [--budget-seconds S] [--toy]`. The demo corpus is rendered, every
encoder trained on it, its embeddings extracted and probed for key and genre. What takes longer than the budget is
stopped as Ctrl-C would, and goes on when the script is run again; encoders that are done are not done again, on another
machine neither, if the file of rows in `--out` is there. Corpus, runs and scores lie in `--work`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import record

ROOT = Path(__file__).parents[3]
ENCODERS = {
    "base": ("myna-base", "infonce"),
    "vertical": ("myna-vertical", "infonce"),
    "hybrid": ("myna-hybrid", "infonce"),
    "mae": ("myna-base", "mae"),
}
TOYS = {"vertical": ("tiny", "infonce"), "mae": ("tiny", "mae")}
RATIOS = (0.9, 0.75, 0.5)
NEEDS = (
    *("zarr", "numcodecs", "pyarrow", "webdataset", "pytorch_optimizer", "safetensors", "sklearn", "matplotlib"),
    *("dask", "distributed", "av", "soundfile", "soxr", "ffmpeg", "imageio_ffmpeg", "nnAudio", "pooch", "psutil"),
    *("midirenderer", "mido", "music21", "pretty_midi"),
)
"""Modules that rendering, ingest, training and probes import."""
LAST_WORDS_SECONDS = 60
"""What a run has to save itself."""


class OutOfTimeError(Exception):
    """The budget is spent."""


@dataclass(frozen=True)
class One:
    """One encoder at one masking ratio."""

    encoder: str
    preset: str
    objective: str
    ratio: float
    steps: int

    @property
    def name(self) -> str:
        """Of its run."""
        return f"{self.encoder}-{round(100 * self.ratio)}-{self.steps}"

    def commands(self, options: argparse.Namespace) -> Iterator[list[str]]:
        """Train, extract, probe."""
        finished = f"runs/{self.name}/encoder.safetensors"
        what = ["--preset", self.preset, "--objective", self.objective, "--masking-ratio", str(self.ratio)]
        what += ["--input-scale", options.input_scale]
        pace = ["--batch", str(options.batch), "--steps", str(self.steps), "--warmup-steps", str(self.steps // 10)]
        rate = ["--learning-rate", str(options.learning_rate), "--schedule", "cosine"]
        rate += ["--resident", "ram" if options.toy else "gpu"]
        yield ["model.train", "--store", "stores/demo.zarr", "--name", self.name, *what, *pace, *rate]
        yield ["model.extract", "demo", "--checkpoint", finished]
        tasks = [word for task in tasks_of(options) for word in ("--task", task)]
        yield ["model.probe", "demo", "--checkpoint", finished, *tasks]


def tasks_of(options: argparse.Namespace) -> tuple[str, ...]:
    """What is predicted; few clips leave no key in every split."""
    return ("genre",) if options.toy else ("key", "genre")


def planned(options: argparse.Namespace) -> list[One]:
    """Every encoder at the paper's ratio first, then at the others: what is cut off are whole comparisons."""
    encoders = TOYS if options.toy else ENCODERS
    ratios = RATIOS[:1] if options.toy else RATIOS
    steps = 2 if options.toy else options.steps
    return [One(name, *encoders[name], ratio, steps) for ratio in ratios for name in encoders]


def corpus_commands(options: argparse.Namespace) -> list[list[str]]:
    """Render, and make shards."""
    return [["pipeline.ingest", "demo", "--clips", str(options.clips)], ["pipeline.shard", "stores/demo.zarr"]]


class Runner:
    """Runs our commands in a folder until the budget is spent."""

    def __init__(self, work: Path, budget_seconds: float) -> None:
        self._work, self._ends = work, time.monotonic() + budget_seconds
        work.mkdir(parents=True, exist_ok=True)

    def __call__(self, words: Sequence[str]) -> float:
        """Run `python -m words`; returns its seconds.

        Raises:
            OutOfTimeError: it was stopped, or not even begun.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise OutOfTimeError(f"no time for {' '.join(words)}")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        log = self._work / "pretrain.log"
        began = time.monotonic()
        with log.open("a") as out:
            out.write(f"\n$ python -m {' '.join(words)}\n")
            out.flush()
            command = [sys.executable, "-m", *words]
            process = subprocess.Popen(command, cwd=self._work, env=environment, stdout=out, stderr=out)
            try:
                status = process.wait(left)
            except subprocess.TimeoutExpired:
                _end(process)
                raise OutOfTimeError(f"stopped: {' '.join(words)}") from None
        if status:
            raise RuntimeError(f"{' '.join(words)} ended with status {status}; the last of {log}:\n{_tail(log)}")
        return time.monotonic() - began


def _end(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C would; what does not heed it is killed."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(LAST_WORDS_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").replace("\r", "\n")[-1_500:]


def row_of(one: One, work: Path, tasks: Sequence[str]) -> dict[str, Any]:
    """What a finished run left: its loss along the way, its speed, its scores with intervals."""
    lines = (work / "runs" / one.name / "metrics.jsonl").read_text().splitlines()
    metrics = [line for line in map(json.loads, lines) if "loss" in line]
    every = max(1, len(metrics) // 20)
    row: dict[str, Any] = {
        "encoder": one.encoder,
        "masking_ratio": one.ratio,
        "steps": one.steps,
        "windows_per_second": sorted(line["windows_per_second"] for line in metrics)[len(metrics) // 2],
        "loss": [[line["step"], round(line["loss"], 4)] for line in [*metrics[::every], metrics[-1]]],
    }
    for task in tasks:
        scores = json.loads((work / "runs" / one.name / "scores" / f"demo.{task}.json").read_text())
        row[task] = {found["representation"]: _score(found) for found in scores["rows"]}
    return row


def _score(row: dict[str, Any]) -> list[float]:
    """Value and bounds of the first metric; scores know one metric or several."""
    metric = next(iter(row["metrics"].values())) if "metrics" in row else row | {"value": row["test_accuracy"]}
    return [round(number, 4) for number in (metric["value"], *(metric["interval"][end] for end in ("low", "high")))]


def work_through(told: record.Record, rest: Sequence[One], kept: Path, options: argparse.Namespace) -> None:
    """The corpus, then one encoder after another."""
    runner = Runner(options.work, options.budget_seconds)
    for words in corpus_commands(options) if rest else []:
        told.add(f"python -m {' '.join(words)}", seconds=runner(words))
    for one in rest:
        try:
            row = finished(one, runner, options)
        except (RuntimeError, OSError, ValueError, KeyError) as error:  # the others may do better
            told.skip(one.name, str(error))
            continue
        kept.parent.mkdir(parents=True, exist_ok=True)
        with kept.open("a") as file:
            file.write(json.dumps({"name": one.name, **row}) + "\n")
        told.add(one.name, **row)


def finished(one: One, runner: Runner, options: argparse.Namespace) -> dict[str, Any]:
    """Train, extract and probe one encoder; its row."""
    seconds = [round(runner(words), 1) for words in one.commands(options)]
    return {**row_of(one, options.work, tasks_of(options)), "train_extract_probe_seconds": seconds}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is left, as far as the budget goes; 75 if something is left then."""
    parser = record.parser(__doc__)
    parser.add_argument("--clips", type=int, default=20_004, help="of the corpus, 12 a piece (20004)")
    parser.add_argument("--batch", type=int, default=4_096, help="clips of a step (4096)")
    parser.add_argument("--steps", type=int, default=1_000, help="of every encoder (1000)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="highest, of a cosine (1e-3)")
    parser.add_argument("--input-scale", default="log1p", help="of the mel power; the paper's is power (log1p)")
    parser.add_argument("--budget-seconds", type=float, default=480.0, help="then stop within a minute (480)")
    parser.add_argument("--work", type=Path, default=ROOT, help="where stores/, data/ and runs/ are (the repository)")
    parser.add_argument("--plan", action="store_true", help="print the commands and stop")
    options = parser.parse_args(arguments)
    if options.toy:
        options.clips, options.batch = min(options.clips, 240), 16
    every = planned(options)
    if options.plan:
        commands = [*corpus_commands(options), *(words for one in every for words in one.commands(options))]
        print("\n".join(f"python -m {' '.join(words)}" for words in commands))
        return 0
    told, kept = record.Record("pretrain", options), options.out / "pretrain.rows.jsonl"
    if reason := record.missing(*NEEDS):
        told.skip("everything", reason)
        told.finish()
        return 1
    done = {row.pop("name"): row for row in map(json.loads, kept.read_text().splitlines())} if kept.is_file() else {}
    for one in every:
        if one.name in done:
            told.add(one.name, **done[one.name])
    try:
        work_through(told, [one for one in every if one.name not in done], kept, options)
    except OutOfTimeError as spent:
        told.skip("the rest", f"{spent}; run it again to go on")
        told.finish()
        return 75
    told.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
