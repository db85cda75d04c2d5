"""`python -m dags.sweep --store stores/NAME.zarr --over masking-ratio 0.5 0.75 0.9`: runs that differ in one setting.

For every value: train, extract, probe. The paper's Figure 4 is a sweep over `masking-ratio`, its Table 2 one over
`batch`. A sweep that was stopped goes on; what is finished is not done again.

**What is held equal is the number of clips that are seen**, batch times steps of the words after `--train`: a run at
another batch gets so many more or fewer steps, and its warm-up in proportion. Everything else is as given, the learning
rate too.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import model.extract
import model.probe
import model.train
from dags import sweep_points
from dags.workflow import Step, mermaid, run
from stores import locations
from stores.errors import InvalidInput, exit_status

FAIR = "every run sees the same number of clips (steps = clips / batch, warm-up in proportion); the rest is as given"
FIXED = ("steps", "warmup-steps")
"""Settings that follow from the number of clips."""
Command = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class SweepPlan:
    """Runs of one store that differ in one setting.

    Raises:
        InvalidInput: the setting cannot be swept, or two values would be one run.
    """

    store: Path
    """The mel store that is trained on."""
    flag: str
    """Of `model.train`, without its dashes."""
    values: tuple[str, ...]
    """As they are typed."""
    datasets: tuple[str, ...]
    """Data sets that are probed."""
    name: str
    """Of the sweep; its runs are NAME-VALUE."""
    train_words: tuple[str, ...]
    """More words for `model.train`, the same for all runs."""

    def __post_init__(self) -> None:
        possible = model.train.setting_flags() - {*FIXED}
        if self.flag not in possible:
            raise InvalidInput(f"--over {self.flag} cannot be swept; use one of {', '.join(sorted(possible))}")
        runs = [self.run_of(value) for value in self.values]
        if not runs or len(set(runs)) < len(runs):
            raise InvalidInput(f"--over {self.flag} {' '.join(self.values)}: give values that differ, at least one")
        reference = ("--batch",)  # with the steps it says how many clips are seen
        given = {word.partition("=")[0] for word in self.train_words}
        for word in {"--store", "--name", f"--{self.flag}"}.difference(reference):
            if word in given:
                raise InvalidInput(f"{word} after --train is what the sweep sets itself: leave it out")

    def run_of(self, value: str) -> str:
        """The name of the run at `value`."""
        return f"{self.name}-{re.sub(r'[^A-Za-z0-9-]', '_', value)}"

    def train_arguments(self, value: str) -> tuple[str, ...]:
        """What `model.train` is told at `value`."""
        given, there = self._options(), self._options(value)
        steps = max(1, round(self.clips_seen / there.batch))
        warmup = round(given.warmup_steps * steps / given.steps)
        lengths = ("--steps", str(steps), "--warmup-steps", str(warmup))
        return (*self._words(value), *lengths, "--name", self.run_of(value))

    @property
    def clips_seen(self) -> int:
        """Clips that every run sees, counted once a step: batch times steps of the words that all runs share."""
        given = self._options()
        return int(given.batch * given.steps)

    @property
    def facts(self) -> dict[str, Any]:
        """What the file says besides its points."""
        own = ("--store", str(self.store), "--over", self.flag, *self.values)
        words = (*own, "--probe", *self.datasets, "--name", self.name, "--train", *self.train_words)
        return {
            "name": self.name,
            "command": shlex.join(["python", "-m", "dags.sweep", *words]),
            "store": self.store.stem,
            "over": self.flag.replace("-", "_"),
            "fair": FAIR,
            "clips_seen": self.clips_seen,
        }

    def _options(self, value: str = "") -> argparse.Namespace:
        return model.train.parsed(self._words(value))

    def _words(self, value: str = "") -> tuple[str, ...]:
        chosen = (f"--{self.flag}={value}",) if value else ()
        return (f"--store={self.store}", *self.train_words, *chosen)


def steps(sweep: SweepPlan) -> list[Step]:
    """The graph: for each value its chain, in the order of the values, then the table."""
    graph: list[Step] = []
    for value in sweep.values:
        # runs share no result, but one after the other leaves whole points when the sweep is stopped
        graph += _chain(sweep, value, after=tuple(step.name for step in graph[-1:]))
    last = (graph[-1].name,)
    return [*graph, Step("table", lambda _: exit_status(lambda: _print_table(sweep)), (), last)]


def _chain(sweep: SweepPlan, value: str, after: tuple[str, ...]) -> list[Step]:
    encoder = str(locations.run(sweep.run_of(value)) / locations.ENCODER_FILE)
    train, probes = f"train-{value}", [f"probe-{dataset}-{value}" for dataset in sweep.datasets]
    chain = [Step(train, model.train.main, sweep.train_arguments(value), after)]
    for dataset, probe in zip(sweep.datasets, probes, strict=True):
        words, extract = (dataset, "--checkpoint", encoder), f"extract-{dataset}-{value}"
        chain.append(Step(extract, _unless_recorded(sweep, value, model.extract.main), words, (train,)))
        chain.append(Step(probe, _unless_recorded(sweep, value, model.probe.main), words, (extract,)))
    record = Step(f"record-{value}", lambda _: exit_status(lambda: _record(sweep, value)), (), tuple(probes))
    return [*chain, record]


def _unless_recorded(sweep: SweepPlan, value: str, command: Command) -> Command:
    """The command, or nothing where the run that is there now, on the stores as they are now, has its point."""

    def run_or_pass(arguments: Sequence[str]) -> int:
        """Run the command unless its result is recorded."""
        if _is_recorded(sweep, value):
            print("   done already")
            return 0
        return command(arguments)

    return run_or_pass


def _is_recorded(sweep: SweepPlan, value: str) -> bool:
    run_name = sweep.run_of(value)
    point = _points(sweep).get(run_name)
    if point is None or not (locations.run(run_name) / locations.ENCODER_FILE).is_file():
        return False
    digest = sweep_points.config_of(run_name).digest()
    return bool(point["config_digest"] == digest and point["store_digests"] == sweep_points.digests_of(sweep.datasets))


def _points(sweep: SweepPlan) -> dict[str, sweep_points.Point]:
    return {point["run"]: point for point in sweep_points.read(locations.sweep(sweep.name))}


def _record(sweep: SweepPlan, value: str) -> None:
    recorded = {sweep.run_of(one) for one in sweep.values if _is_recorded(sweep, one)}
    points = {name: point for name, point in _points(sweep).items() if name in recorded}
    if sweep.run_of(value) not in points:
        points[sweep.run_of(value)] = sweep_points.of_run(_number(value), sweep.run_of(value), sweep.datasets)
    runs = [sweep.run_of(one) for one in sweep.values]
    sweep_points.write(locations.sweep(sweep.name), sweep.facts, [points[one] for one in runs if one in points])


def _number(value: str) -> float | str:
    try:
        return float(value) if "." in value or "e" in value else int(value)
    except ValueError:
        return value


def _print_table(sweep: SweepPlan) -> None:
    path = locations.sweep(sweep.name)
    print(f"{path}: {sweep.flag} on {sweep.store}, {sweep.clips_seen} clips seen by every run")
    print(sweep_points.table(sweep.flag, sweep_points.read(path)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dags.sweep",
        description=f"Runs that differ in one setting, trained and probed; {FAIR}.",
        epilog="Words after --train are for model.train, for all runs, e.g. --train --preset tiny --steps 300.",
        allow_abbrev=False,
    )
    parser.add_argument("--store", type=locations.store_path, required=True, help="mel store to train on")
    parser.add_argument("--over", nargs="+", required=True, metavar="WORD", help="flag of model.train, and its values")
    parser.add_argument("--probe", nargs="+", metavar="DATASET", help="data sets to probe (that of the store)")
    parser.add_argument("--name", help="of the sweep (STORE-FLAG); its runs are NAME-VALUE")
    parser.add_argument("--draw", action="store_true", help="print the graph as a Mermaid flow chart, run nothing")
    parser.add_argument("--train", nargs=argparse.REMAINDER, default=[], help="last: all words after it are its own")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _sweep(options))


def _sweep(options: argparse.Namespace) -> None:
    flag = options.over[0].removeprefix("--")
    sweep = SweepPlan(
        store=options.store,
        flag=flag,
        values=tuple(options.over[1:]),
        datasets=tuple(options.probe or [options.store.stem]),
        name=options.name or f"{options.store.stem}-{flag}",
        train_words=tuple(options.train),
    )
    graph = steps(sweep)
    if options.draw:
        print(mermaid(graph))
    else:
        run(graph)


if __name__ == "__main__":
    sys.exit(main())
