"""All runs with scores on the same datasets, if their objectives differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from model.page import formats
from model.page.document import Section
from model.page.elements import PageRow, PageTable
from model.page.run_results import ProbedRun, RunResults
from model.probes.results.scores import Scores


def section(results: RunResults) -> Section | None:
    """Return a table with this run first and the others by objective, or None if all runs have the same objective."""
    if results.config is None:
        return None
    this_run = ProbedRun(results.run, results.config, results.scores)
    runs = [this_run, *sorted(results.others, key=lambda run: _sort_key(run, this_run))]
    if len({run.config.objective.name for run in runs}) < 2:
        return None
    columns = list(dict.fromkeys(column for run in runs for column in _values(run.scores)))
    head = ("run", "objective", "batch", "steps", "seed", *columns)
    rows = [_row(run, columns, "trained" if run is this_run else "") for run in runs]
    remarks = [_differences(runs)]
    if results.unread:
        remarks.append(f"Runs that could not be read: {', '.join(results.unread)}.")
    content = {"remarks": remarks, "table": PageTable(head, rows, "Scores of the trained encoder")}
    return Section("Runs by objective", "objectives", content)


def _sort_key(run: ProbedRun, this_run: ProbedRun) -> tuple[bool, str, str]:
    """Sort runs with the objective of this run first."""
    objective = run.config.objective.name
    return objective != this_run.config.objective.name, objective, run.name


def _row(run: ProbedRun, columns: Sequence[str], kind: str) -> PageRow:
    config, values = run.config, _values(run.scores)
    settings = (config.objective.label, f"{config.batch:,}", f"{config.steps:,}", str(config.seed))
    return PageRow((run.name, *settings, *(values.get(column, formats.MISSING) for column in columns)), kind)


def _values(scores: Sequence[Scores]) -> dict[str, str]:
    values = {}
    for one_task in scores:
        main = one_task.rows[0].main
        name = f"{one_task.dataset} / {one_task.task}: {one_task.metric}"
        values[name] = formats.estimate(main.value, main.interval.low, main.interval.high)
    return values


def _differences(runs: Sequence[ProbedRun]) -> str:
    """Return sentences on what differs besides the objective, without which the comparison would claim too much."""
    settings = [flatten(run.config.to_dict()) for run in runs]
    differing = sorted(name for name in settings[0] if len({str(values.get(name)) for values in settings}) > 1)
    relevant = [name for name in differing if not name.startswith(("objective", "shards", "samples"))]
    words = [" ".join(name.replace("_", " ").split(".")) for name in relevant]
    others = f"Besides the objective, they differ in {', '.join(words)}." if words else "All other settings are equal."
    return f"All {len(runs)} runs with scores on the same datasets, with 95 % confidence intervals. {others}"


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one mapping, with names such as `encoder.width`."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
