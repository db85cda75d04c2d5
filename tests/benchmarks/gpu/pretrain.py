"""Comparison of Base, Vertical, Hybrid and MAE at 90, 75 and 50 % masking with equal steps, to check the paper's order.

`python tests/benchmarks/gpu/pretrain.py [--plan] [--budget-seconds S] [--toy]`. The script renders the demo corpus,
trains every encoder on it, extracts its embeddings, and probes them for key and genre. When the budget is spent, it
stops the current command with Ctrl-C. When the script is run again, it continues. Finished encoders are not repeated,
even on another machine, if the file of rows is in `--out`. Corpus, runs and scores are stored in `--work`.
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
REQUIRED_MODULES = (
    *("zarr", "numcodecs", "pyarrow", "webdataset", "pytorch_optimizer", "safetensors", "sklearn", "matplotlib"),
    *("dask", "distributed", "av", "soundfile", "soxr", "ffmpeg", "imageio_ffmpeg", "nnAudio", "pooch", "psutil"),
    *("midirenderer", "mido", "music21", "pretty_midi"),
)
"""Third-party modules that rendering, ingest, training and probes import."""
SAVE_SECONDS = 60
"""Time that a command has to save its state after Ctrl-C."""


class OutOfTimeError(Exception):
    """The budget is spent."""


@dataclass(frozen=True)
class Experiment:
    """One encoder at one masking ratio."""

    encoder: str
    preset: str
    objective: str
    ratio: float
    steps: int

    @property
    def name(self) -> str:
        """Name of the run."""
        return f"{self.encoder}-{round(100 * self.ratio)}-{self.steps}"

    def commands(self, options: argparse.Namespace) -> Iterator[list[str]]:
        """Yield the commands that train, extract and probe."""
        checkpoint = f"runs/{self.name}/encoder.safetensors"
        model = ["--preset", self.preset, "--objective", self.objective, "--masking-ratio", str(self.ratio)]
        model += ["--input-scale", options.input_scale]
        length = ["--batch", str(options.batch), "--steps", str(self.steps), "--warmup-steps", str(self.steps // 10)]
        rate = ["--learning-rate", str(options.learning_rate), "--schedule", "cosine"]
        rate += ["--resident", "ram" if options.toy else "gpu"]
        yield ["model.train", "--store", "stores/demo.zarr", "--name", self.name, *model, *length, *rate]
        yield ["model.extract", "demo", "--checkpoint", checkpoint]
        tasks = [word for task in tasks_of(options) for word in ("--task", task)]
        yield ["model.probe", "demo", "--checkpoint", checkpoint, *tasks]


def tasks_of(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the tasks to probe; toy runs have too few clips to have every key in every split."""
    return ("genre",) if options.toy else ("key", "genre")


def plan(options: argparse.Namespace) -> list[Experiment]:
    """Return all experiments, beginning with those at the paper's ratio, so that one comparison is complete early."""
    encoders = TOYS if options.toy else ENCODERS
    ratios = RATIOS[:1] if options.toy else RATIOS
    steps = 2 if options.toy else options.steps
    return [Experiment(name, *encoders[name], ratio, steps) for ratio in ratios for name in encoders]


def corpus_commands(options: argparse.Namespace) -> list[list[str]]:
    """Return the commands that render and ingest the corpus and write its shards."""
    return [["pipeline.ingest", "demo", "--clips", str(options.clips)], ["pipeline.shard", "stores/demo.zarr"]]


class CommandRunner:
    """A callable that runs commands of Myna in a folder until the budget is spent."""

    def __init__(self, work: Path, budget_seconds: float) -> None:
        self._work, self._deadline = work, time.monotonic() + budget_seconds
        work.mkdir(parents=True, exist_ok=True)

    def __call__(self, words: Sequence[str]) -> float:
        """Run `python -m` with `words`, and return its wall-clock seconds.

        Raises:
            OutOfTimeError: the command was stopped, or it was not started.
            RuntimeError: the command failed.
        """
        seconds_left = self._deadline - time.monotonic()
        if seconds_left <= 0:
            raise OutOfTimeError(f"no time for {' '.join(words)}")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        log = self._work / "pretrain.log"
        start = time.monotonic()
        with log.open("a") as log_file:
            log_file.write(f"\n$ python -m {' '.join(words)}\n")
            log_file.flush()
            command = [sys.executable, "-m", *words]
            process = subprocess.Popen(command, cwd=self._work, env=environment, stdout=log_file, stderr=log_file)
            try:
                status = process.wait(seconds_left)
            except subprocess.TimeoutExpired:
                _interrupt(process)
                raise OutOfTimeError(f"stopped: {' '.join(words)}") from None
        if status:
            raise RuntimeError(f"{' '.join(words)} ended with status {status}; the end of {log}:\n{_tail(log)}")
        return time.monotonic() - start


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Send Ctrl-C, and kill the process if it does not end in time."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(SAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").replace("\r", "\n")[-1_500:]


def row_of(experiment: Experiment, work: Path, tasks: Sequence[str]) -> dict[str, Any]:
    """Return the losses, the speed and the scores with intervals of a finished run."""
    lines = (work / "runs" / experiment.name / "metrics.jsonl").read_text().splitlines()
    metrics = [line for line in map(json.loads, lines) if "loss" in line]
    stride = max(1, len(metrics) // 20)
    row: dict[str, Any] = {
        "encoder": experiment.encoder,
        "masking_ratio": experiment.ratio,
        "steps": experiment.steps,
        "windows_per_second": sorted(line["windows_per_second"] for line in metrics)[len(metrics) // 2],
        "loss": [[line["step"], round(line["loss"], 4)] for line in [*metrics[::stride], metrics[-1]]],
    }
    for task in tasks:
        scores = json.loads((work / "runs" / experiment.name / "scores" / f"demo.{task}.json").read_text())
        row[task] = {score["representation"]: _score(score) for score in scores["rows"]}
    return row


def _score(row: dict[str, Any]) -> list[float]:
    """Return the value and the bounds of the first metric; a file of scores has one metric or several."""
    metric = next(iter(row["metrics"].values())) if "metrics" in row else row | {"value": row["test_accuracy"]}
    return [round(number, 4) for number in (metric["value"], *(metric["interval"][end] for end in ("low", "high")))]


def run_experiments(
    results: record.BenchmarkResults, experiments: Sequence[Experiment], rows_file: Path, options: argparse.Namespace
) -> None:
    """Make the corpus, run one experiment after another, and append the row of each to `rows_file`."""
    runner = CommandRunner(options.work, options.budget_seconds)
    for words in corpus_commands(options) if experiments else []:
        results.add(f"python -m {' '.join(words)}", seconds=runner(words))
    for experiment in experiments:
        try:
            row = run_experiment(experiment, runner, options)
        except (RuntimeError, OSError, ValueError, KeyError) as error:  # the others may succeed
            results.skip(experiment.name, str(error))
            continue
        rows_file.parent.mkdir(parents=True, exist_ok=True)
        with rows_file.open("a") as file:
            file.write(json.dumps({"name": experiment.name, **row}) + "\n")
        results.add(experiment.name, **row)


def run_experiment(experiment: Experiment, runner: CommandRunner, options: argparse.Namespace) -> dict[str, Any]:
    """Train, extract and probe one encoder, and return its row."""
    seconds = [round(runner(words), 1) for words in experiment.commands(options)]
    return {**row_of(experiment, options.work, tasks_of(options)), "train_extract_probe_seconds": seconds}


def _read_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of finished experiments by name."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return {row.pop("name"): row for row in map(json.loads, lines)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the remaining experiments within the budget; return 75 if some remain, and 1 if a module is missing."""
    parser = record.parser(__doc__)
    parser.add_argument("--clips", type=int, default=20_004, help="clips of the corpus, 12 per piece (default: 20004)")
    parser.add_argument("--batch", type=int, default=4_096, help="clips per step (default: 4096)")
    parser.add_argument("--steps", type=int, default=1_000, help="training steps of every encoder (default: 1000)")
    parser.add_argument(
        "--learning-rate", type=float, default=1e-3, help="peak learning rate of the cosine schedule (default: 1e-3)"
    )
    parser.add_argument(
        "--input-scale", default="log1p", help="input scale of the mel; the paper uses power (default: log1p)"
    )
    parser.add_argument(
        "--budget-seconds",
        type=float,
        default=480.0,
        help="seconds after which the script stops within a minute (default: 480)",
    )
    parser.add_argument(
        "--work", type=Path, default=ROOT, help="folder of stores/, data/ and runs/ (default: the repository)"
    )
    parser.add_argument("--plan", action="store_true", help="print the commands, then exit")
    options = parser.parse_args(arguments)
    if options.toy:
        options.clips, options.batch = min(options.clips, 240), 16
    experiments = plan(options)
    if options.plan:
        commands = [
            *corpus_commands(options),
            *(words for experiment in experiments for words in experiment.commands(options)),
        ]
        print("\n".join(f"python -m {' '.join(words)}" for words in commands))
        return 0
    results, rows_file = record.BenchmarkResults("pretrain", options), options.out / "pretrain.rows.jsonl"
    if reason := record.missing(*REQUIRED_MODULES):
        results.skip("everything", reason)
        results.finish()
        return 1
    finished = _read_rows(rows_file)
    for name in (experiment.name for experiment in experiments if experiment.name in finished):
        results.add(name, **finished[name])
    try:
        remaining = [experiment for experiment in experiments if experiment.name not in finished]
        run_experiments(results, remaining, rows_file, options)
    except OutOfTimeError as error:
        results.skip("the rest", f"{error}; run it again to continue")
        results.finish()
        return 75
    results.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
