"""The workflow of `python -m dags.sweep`: for every value of a setting train, extract, and probe, then print a table.

All runs see the same number of clips: the batch times the steps of the words after `--train`. A run with another batch
gets more or fewer steps, and its warm-up in proportion. Everything else is as stated.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import model.extract
import model.probe
import model.train
from dags import sweep_points
from dags.config import SweepSettings
from dags.workflow import Step, print_graph, run
from dags.workflows import sweep_on_cluster
from dags.workflows.sweep_on_cluster import RunTask
from model.training.config import OptimizationSettings, TrainSettings, result_flags
from stores import locations, sweep_file
from stores.command_line import parse
from stores.errors import InvalidInput, exit_status
from stores.json_output import print_json
from stores.sweep_file import Sweep, SweepPoint

FAIR = "every run sees the same number of clips (steps = clips / batch, warm-up in proportion), and all else is equal"
FIXED = ("steps", "warmup-steps")
"""Settings that follow from the number of clips."""
SET_BY_SWEEP = ("--store", "--name")
Command = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class SweepPlan:
    """Runs on one store that differ in one setting.

    Raises:
        InvalidInput: the setting cannot be swept, or two values would be one run.
    """

    store: Path
    """Mel store to train on."""
    flag: str
    """Flag of `model.train`, without its dashes."""
    values: tuple[str, ...]
    """Values of the setting, as they were typed."""
    datasets: tuple[str, ...]
    """Datasets to probe."""
    name: str
    """Name of the sweep. Its runs are called NAME-VALUE."""
    train_words: tuple[str, ...]
    """More words for `model.train`, the same for all runs."""

    def __post_init__(self) -> None:
        possible = result_flags() - {*FIXED}
        if self.flag not in possible:
            raise InvalidInput(f"--over {self.flag} cannot be swept; use one of {', '.join(sorted(possible))}")
        runs = [self.run_of(value) for value in self.values]
        if not runs or len(set(runs)) < len(runs):
            raise InvalidInput(f"--over {self.flag} needs at least one value, all different (got {list(self.values)})")
        # --batch may be stated too: with the steps it says how many clips every run sees
        reserved = {*SET_BY_SWEEP, f"--{self.flag}"} - {"--batch"}
        for word in self.train_words:
            if (flag := word.partition("=")[0]) in reserved:
                raise InvalidInput(f"{flag} after --train is set by the sweep itself; leave it out")

    def run_of(self, value: str) -> str:
        """Return the name of the run with `value`."""
        return f"{self.name}-{re.sub(r'[^A-Za-z0-9-]', '_', value)}"

    def train_arguments(self, value: str) -> tuple[str, ...]:
        """Return the words of `model.train` for `value`."""
        reference = self._optimization()
        steps = max(1, round(self.clips_seen / self._optimization(value).batch))
        warmup = round(reference.warmup_steps * steps / reference.steps)
        lengths = ("--steps", str(steps), "--warmup-steps", str(warmup))
        return (*self._words(value), *lengths, "--name", self.run_of(value))

    @property
    def clips_seen(self) -> int:
        """Clips that every run sees, counted once per step: batch times steps of the words that all runs share."""
        reference = self._optimization()
        return reference.batch * reference.steps

    def recorded(self, points: Sequence[SweepPoint]) -> Sweep:
        """Return the content of the sweep file with these points."""
        own = ("--store", str(self.store), "--over", self.flag, *self.values)
        words = (*own, "--probe", *self.datasets, "--name", self.name, "--train", *self.train_words)
        return Sweep(
            name=self.name,
            command=shlex.join(["python", "-m", "dags.sweep", *words]),
            store=locations.dataset_of(self.store),
            over=self.flag.replace("-", "_"),
            fair=FAIR,
            clips_seen=self.clips_seen,
            points=tuple(points),
        )

    def _optimization(self, value: str = "") -> OptimizationSettings:
        return parse(TrainSettings, self._words(value), "model.train").optimization

    def _words(self, value: str = "") -> tuple[str, ...]:
        swept = (f"--{self.flag}={value}",) if value else ()
        return (f"--store={self.store}", *self.train_words, *swept)


def steps(plan: SweepPlan) -> list[Step]:
    """Return the steps: a chain for each value, in the order of the values, and then the table."""
    graph: list[Step] = []
    for value in plan.values:
        # Runs share no result. One after the other leaves whole points when the sweep is interrupted.
        graph += _chain(plan, value, after=tuple(step.name for step in graph[-1:]))
    last = (graph[-1].name,)
    return [*graph, Step("table", lambda _: exit_status(lambda: _print_table(plan)), (), last)]


def _chain(plan: SweepPlan, value: str, after: tuple[str, ...]) -> list[Step]:
    encoder = str(locations.run(plan.run_of(value)) / locations.ENCODER_FILE)
    train, probes = f"train-{value}", [f"probe-{dataset}-{value}" for dataset in plan.datasets]
    chain = [Step(train, model.train.main, plan.train_arguments(value), after)]
    for dataset, probe in zip(plan.datasets, probes, strict=True):
        words, extract = (dataset, "--checkpoint", encoder), f"extract-{dataset}-{value}"
        chain.append(Step(extract, _unless_recorded(plan, value, model.extract.main), words, (train,)))
        chain.append(Step(probe, _unless_recorded(plan, value, model.probe.main), words, (extract,)))
    record = Step(f"record-{value}", lambda _: exit_status(lambda: _record(plan, value)), (), tuple(probes))
    return [*chain, record]


def run_tasks(plan: SweepPlan) -> list[RunTask]:
    """Return the commands of the runs that are not recorded, for the workers of a cluster."""
    tasks = []
    for value in plan.values:
        if not _is_recorded(plan, value):
            words = ("--checkpoint", str(locations.run(plan.run_of(value)) / locations.ENCODER_FILE))
            commands = [("model.train", *plan.train_arguments(value))]
            for dataset in plan.datasets:
                commands += [("model.extract", dataset, *words), ("model.probe", dataset, *words)]
            home = os.environ.get("MYNA_HOME", "")
            tasks.append(RunTask(plan.run_of(value), tuple(commands), Path.cwd(), home))
    return tasks


def _unless_recorded(plan: SweepPlan, value: str, command: Command) -> Command:
    """Return a command that does nothing if the point of the present run, on the present stores, is recorded."""

    def run_or_skip(arguments: Sequence[str]) -> int:
        """Run the command unless its result is recorded."""
        if _is_recorded(plan, value):
            print("   already recorded")
            return 0
        return command(arguments)

    return run_or_skip


def _is_recorded(plan: SweepPlan, value: str) -> bool:
    run_name = plan.run_of(value)
    point = _points(plan).get(run_name)
    if point is None or not (locations.run(run_name) / locations.ENCODER_FILE).is_file():
        return False
    digest = sweep_points.config_of(run_name).digest()
    return point.config_digest == digest and point.store_digests == sweep_points.store_digests(plan.datasets)


def _points(plan: SweepPlan) -> dict[str, SweepPoint]:
    path = locations.sweep(plan.name)
    return {point.run: point for point in sweep_file.read(path).points} if path.is_file() else {}


def _record(plan: SweepPlan, value: str) -> None:
    recorded = {plan.run_of(one) for one in plan.values if _is_recorded(plan, one)}
    points = {name: point for name, point in _points(plan).items() if name in recorded}
    if plan.run_of(value) not in points:
        points[plan.run_of(value)] = sweep_points.point_of_run(_number(value), plan.run_of(value), plan.datasets)
    runs = [plan.run_of(one) for one in plan.values]
    sweep_file.write(locations.sweep(plan.name), plan.recorded([points[run] for run in runs if run in points]))


def _number(value: str) -> float | str:
    try:
        return float(value) if "." in value or "e" in value else int(value)
    except ValueError:
        return value


def _print_table(plan: SweepPlan) -> None:
    path = locations.sweep(plan.name)
    print(f"{path}: {plan.flag} on {plan.store}, {plan.clips_seen} clips seen by every run")
    print(sweep_points.text_table(plan.flag, sweep_file.read(path).points))


def sweep(settings: SweepSettings, train_words: Sequence[str]) -> None:
    """Run the sweep, or print its graph.

    Args:
        settings: of the sweep.
        train_words: more words for `model.train`, the same for all runs.

    Raises:
        InvalidInput: the setting cannot be swept, or two values would be one run.
        StepFailed: a step ended with an error.
    """
    if len(settings.over) < 1:
        raise InvalidInput("--over needs a flag of model.train and its values, for example: --over batch 64 256")
    store, flag = locations.store_path(settings.store), settings.over[0].removeprefix("--")
    plan = SweepPlan(
        store=store,
        flag=flag,
        values=settings.over[1:],
        datasets=settings.probe or (locations.dataset_of(store),),
        name=settings.name or f"{locations.dataset_of(store)}-{flag}",
        train_words=tuple(train_words),
    )
    graph = steps(plan)
    if settings.draw:
        print_graph(graph, settings.json)
        return
    if settings.cluster.scheduler is not None:
        sweep_on_cluster.run(run_tasks(plan), settings.cluster)
    results = run(graph, settings.json)
    if settings.json:
        path = locations.sweep(plan.name)
        print_json({"sweep": str(path), **sweep_file.read(path).to_dict(), "steps": results})
