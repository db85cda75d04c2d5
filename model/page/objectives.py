"""All runs with scores on the same data sets, by objective, where they differ in what they minimise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from model.page import markup
from model.page.document import Section
from model.page.markup import Line
from model.page.run_results import Other, RunResults
from model.probes.results.scores import Scores


def section(findings: RunResults) -> Section | None:
    """A line for each run, this one first, then by objective; None unless at least two objectives were probed."""
    mine: Other = (findings.run, findings.config, findings.scores)
    runs = [mine, *sorted(findings.others, key=lambda run: _place(run, mine))]
    if len({config.objective.name for _, config, _ in runs}) < 2:
        return None
    columns = list(dict.fromkeys(column for _, _, scores in runs for column in _values(scores)))
    head = ("run", "objective", "batch", "steps", "seed", *columns)
    lines = [_line(one, columns, "trained" if one is mine else "") for one in runs]
    body = markup.paragraph(_told(runs), quiet=True)
    if findings.unread:
        body += markup.paragraph(f"Runs that could not be read: {', '.join(findings.unread)}.", quiet=True)
    return Section("Runs by objective", body + markup.table(head, lines, "Scores of the trained encoder"), {}, {})


def _place(run: Other, mine: Other) -> tuple[bool, str, str]:
    """Those of this run's objective come first."""
    name, objective = run[0], run[1].objective.name
    return objective != mine[1].objective.name, objective, name


def _line(run: Other, columns: Sequence[str], kind: str) -> Line:
    name, config, scores = run
    facts = (config.objective.name, f"{config.batch:,}", f"{config.steps:,}", str(config.seed))
    values = _values(scores)
    return Line((name, *facts, *(values.get(column, markup.GONE) for column in columns)), kind)


def _values(scores: Sequence[Scores]) -> dict[str, str]:
    found = {}
    for one in scores:
        main = one.rows[0].main
        within = markup.between(main.interval.low, main.interval.high)
        found[f"{one.dataset} / {one.task}: {one.metric}"] = f"{markup.number(main.value)} ({within})"
    return found


def _told(runs: Sequence[Other]) -> str:
    """What else differs, without which a comparison would claim too much."""
    flat = [_flat(config.to_dict()) for _, config, _ in runs]
    differ = sorted(name for name in flat[0] if len({str(one.get(name)) for one in flat}) > 1)
    more = [name for name in differ if not name.startswith(("objective", "shards", "samples"))]
    words = [" ".join(name.replace("_", " ").split(".")) for name in more]
    also = f" Besides their objective they differ in {', '.join(words)}." if more else " All other settings are equal."
    return f"All {len(runs)} runs with scores on the same data sets; intervals are 95 %.{also}"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
