"""The page that compares runs: the settings that differ, scores with paired intervals, and curves over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt

from model.page import charts, document, formats
from model.page.charts import Rows, Spec
from model.page.document import Section
from model.page.elements import PageChart, PageRow, PageTable
from model.page.objectives import flatten
from model.page.provenance import train_command
from model.page.run_results import read_metrics, read_settings
from model.page.verdict import Verdict
from model.probes.config import CompareSettings
from model.probes.run_comparison import ComparedMetric, compare_scores
from model.training.config import TrainConfig
from stores import locations
from stores.commit import write_bytes
from stores.errors import InvalidInput
from stores.json_output import print_json

MAX_RUNS = 7
"""Runs that the colors of a chart can tell apart."""
_CURVES = {
    "loss": ("loss", "Loss. It is comparable only between runs with the same objective and batch."),
    "neighbours": ("k-NN validation accuracy", "k-NN validation. Higher is better."),
    "alignment": ("alignment", "Alignment of the two views of a clip. Lower is better."),
    "uniformity": ("uniformity", "Uniformity of the embeddings. Lower is more even."),
}


def compare_runs(settings: CompareSettings) -> None:
    """Print a comparison of runs, and write it as a page.

    Raises:
        InvalidInput: a run is stated twice, or there are too many.
        MissingArtifact, CorruptArtifact, DigestMismatch: see `compare_scores`.
    """
    runs = settings.datasets
    if len(set(runs)) < len(runs) or not 2 <= len(runs) <= MAX_RUNS:
        raise InvalidInput(f"a comparison needs 2 to {MAX_RUNS} different runs (got {', '.join(runs)})")
    name = locations.validate_name(settings.name or "-".join(runs))
    configs = {run: read_settings(locations.run(run))[0] for run in runs}
    differing, compared = differing_settings(configs), compare_scores(runs)
    page = document.page(
        f"Myna: {' and '.join(runs)}",
        _lead(runs),
        _sections(runs, differing, compared),
        verdict(compared, _another_seed(runs[-1])),
    )
    path = locations.report(name)
    write_bytes(path, page.encode())
    if settings.json:
        scores = [one.to_dict() for one in compared]
        print_json({"runs": list(runs), "settings": differing, "scores": scores, "page": str(path)})
        return
    for setting, values in differing.items():
        print(f"{setting}: {', '.join(f'{run} {value}' for run, value in values.items())}")
    for line in score_lines(compared):
        print(line)
    print(f"page: {path}")


def differing_settings(configs: Mapping[str, TrainConfig]) -> dict[str, dict[str, str]]:
    """Return the settings that are not equal in all runs, as text by setting and run."""
    flat = {run: flatten(config.to_dict()) for run, config in configs.items()}
    names = list(dict.fromkeys(name for settings in flat.values() for name in settings))
    values = {name: {run: str(settings.get(name, formats.MISSING)) for run, settings in flat.items()} for name in names}
    return {name: of_runs for name, of_runs in values.items() if len(set(of_runs.values())) > 1}


def score_lines(compared: Sequence[ComparedMetric]) -> list[str]:
    """Return a line for each metric and run, with the verdict on its difference to the first run."""
    lines = [] if compared else ["no task has scores of all runs; make them with `python -m model.probe DATASET`"]
    for one in compared:
        lines.append(f"{one.dataset} / {one.task}, {one.metric}, {one.test_clips} test clips:")
        for run, score in one.runs.items():
            text = f"  {run}: {formats.estimate(score.value, score.interval.low, score.interval.high)}"
            if score.difference is not None:
                difference = formats.signed_interval(score.difference.low, score.difference.high)
                text += f", {difference} to {next(iter(one.runs))}: {one.words(run)}"
            lines.append(text)
    return lines


def verdict(compared: Sequence[ComparedMetric], another_seed: str) -> Verdict | None:
    """Return the verdict on the last run against the first by the first metric; None without scores.

    Args:
        compared: all metrics.
        another_seed: command that trains the last run with another seed.
    """
    if not compared:
        return None
    one = compared[0]
    first, *_, last = one.runs
    words = {"no significant difference": "not significantly different from"}.get(
        one.words(last), f"{one.words(last)} than"
    )
    sentence = f"{last} is {words} {first} in {one.task} of {one.dataset} ({one.test_clips} test clips)."
    return Verdict(sentence, "Another seed shows how much of it is chance:", another_seed)


def _sections(
    runs: Sequence[str], differing: Mapping[str, Mapping[str, str]], compared: Sequence[ComparedMetric]
) -> list[Section]:
    rows = [PageRow((name, *values.values())) for name, values in differing.items()]
    table = PageTable(["setting", *runs], rows, "Settings that differ", of_words=True)
    content = {"remarks": [] if rows else ["All settings are equal."], "table": table}
    sections = [Section("Settings", "objectives", content)]
    if compared:
        remark = "Differences are those to the first run, on the same test clips."
        sections.insert(0, Section("Scores", "objectives", {"remarks": [remark], "table": _score_table(compared)}))
    metrics = {run: read_metrics(locations.run(run)) for run in runs}
    fields = [name for name in _CURVES if any(name in row for rows_ in metrics.values() for row in rows_)]
    curves = {f"curve-{name}": curves_chart(metrics, name, _CURVES[name][0]) for name in fields}
    drawn = [PageChart(f"curve-{name}", f"{_CURVES[name][1]} Runs: {', '.join(runs)}.") for name in fields]
    return [*sections, Section("Training", "curves", {"charts": drawn}, curves)] if fields else sections


def curves_chart(metrics: Mapping[str, Rows], field: str, title: str) -> Spec:
    """Return a line for each run over training steps.

    Args:
        metrics: lines of metrics by run.
        field: the field that is drawn.
        title: title of the vertical axis.
    """
    points = [
        {"run": run, "step": row["step"], "value": row[field]}
        for run, rows in metrics.items()
        for row in _thinned([row for row in rows if field in row])
    ]
    scale = alt.Scale(domain=list(metrics))
    line = (
        alt.Chart(charts.data(points))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(tickMinStep=1, format=",d")),
            y=alt.Y("value:Q", title=title, scale=charts.span(point["value"] for point in points)),
            color=alt.Color("run:N", scale=scale, title=None),
            strokeDash=alt.StrokeDash("run:N", scale=scale, title=None),
            tooltip=["run:N", "step:Q", alt.Tooltip("value:Q", format=".4~f")],
        )
    )
    return charts.spec_of(line.properties(height=220))


def _thinned(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return rows[:: -(-len(rows) // charts.MAX_POINTS)] if rows else rows


def _score_table(compared: Sequence[ComparedMetric]) -> PageTable:
    first = next(iter(compared[0].runs))
    rows = [
        PageRow(
            (
                f"{one.dataset} / {one.task}: {one.metric}",
                run,
                formats.estimate(score.value, score.interval.low, score.interval.high),
                formats.MISSING
                if score.difference is None
                else formats.signed_interval(score.difference.low, score.difference.high),
                "" if score.difference is None else one.words(run),
            ),
            "" if score.difference is None else "baseline" if one.words(run).startswith("no") else "trained",
        )
        for one in compared
        for run, score in one.runs.items()
    ]
    head = ["metric", "run", "test (95 % interval)", f"difference to {first}", "verdict"]
    return PageTable(head, rows, "Scores with paired 95 % confidence intervals", of_words=True)


def _lead(runs: Sequence[str]) -> str:
    return f"A comparison of {len(runs)} runs. An interval of a difference that excludes 0 is called significant."


def _another_seed(run: str) -> str:
    """Return the command that trains a run with another seed."""
    config, store = read_settings(locations.run(run))
    return train_command(f"{run}-{config.seed + 1}", store, replace(config, seed=config.seed + 1))
