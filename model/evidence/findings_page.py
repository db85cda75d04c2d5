"""The page of the study of findings: every finding with its interval, the sweeps, and the scores of all runs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt

from model.evidence import findings_table
from model.evidence.findings import Conclusion, RunResult, conclusions
from model.evidence.findings_sweeps import METRICS
from model.page import charts, document, formats, sweeps
from model.page.charts import Spec
from model.page.document import Section
from model.page.elements import PageChart, PageRow, PageTable
from stores.commit import write_bytes
from stores.labels import count_noun
from stores.sweep_file import Sweep

CHART = "findings"
ROW_PIXELS, LINE_PIXELS = 60, 14
LABEL_CHARACTERS = 46
"""Characters of a line that a telephone shows beside the margins."""


@dataclass(frozen=True)
class FindingsPage:
    """Everything that the page shows."""

    results: Sequence[RunResult]
    """Results of the finished runs, at least one."""
    sweeps: Sequence[Sweep]
    """Sweeps over one setting each."""
    command: str
    """Command line of the study."""

    def write(self, path: Path) -> None:
        """Write the page atomically."""
        write_bytes(path, self.html().encode())

    def html(self) -> str:
        """Return the whole page."""
        concluded = conclusions(self.results)
        sections = [
            *([_findings(concluded)] if concluded else ()),
            *([sweeps.section(self.sweeps, run="")] if self.sweeps else ()),
            self._runs(),
        ]
        return document.page("Myna: the paper's findings at small size", self._lead(), sections)

    def _lead(self) -> str:
        runs, seeds = ({getattr(result, name) for result in self.results} for name in ("run", "seed"))
        pieces = {task: sum(counts.clips) for task, counts in self.results[0].scores["all"].items()}
        return (
            f"{count_noun(len(runs), 'configuration')} with up to {count_noun(len(seeds), 'seed')}. A run with its "
            f"whole share saw {self.results[0].clips_seen:,} rendered clips of 10 s. The scores are those of "
            f"{count_noun(pieces['key'], 'clip')} with a key and {count_noun(pieces['genre'], 'clip')} with a genre, "
            "from a soundfont that no encoder has heard."
        )

    def _runs(self) -> Section:
        rows = [
            PageRow((name, *(findings_table.cell(by_task[task]) for task in METRICS)))
            for name, by_task in findings_table.by_name(self.results).items()
        ]
        head = ("run", *(f"{task}, {metric}" for task, metric in METRICS.items()))
        table = PageTable(head, rows, "Scores of all runs")
        text = "Means over seeds, their standard deviation, and 95 % intervals over test pieces."
        return Section("All runs", "study_runs", {"text": text, "table": table, "command": self.command})


def _findings(concluded: Sequence[Conclusion]) -> Section:
    verdicts = [conclusion.verdict for conclusion in concluded]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    text = (
        f"Of {count_noun(len(concluded), 'statement')}: {counts}. A dot is the difference between the scores of two "
        "runs, and a line its 95 % interval over pieces. A statement holds if the interval is above 0, fails if "
        "it is below 0, and cannot be told otherwise."
    )
    content = {"text": text, "chart": PageChart(CHART, f"Differences of {counts}", _table(concluded))}
    return Section("Findings", "findings", content, {CHART: chart(concluded)})


def chart(concluded: Sequence[Conclusion]) -> Spec:
    """Return the difference and interval of each finding below its statement. Diamonds mark those that hold or fail."""
    rows = [_values(conclusion) for conclusion in concluded]
    order = [row["statement"] for row in rows]
    base = alt.Chart(charts.data(rows)).encode(
        y=alt.Y("statement:N", sort=order, axis=None),
        tooltip=[
            "statement:N",
            "verdict:N",
            *(alt.Tooltip(f"{name}:Q", format="+.3f") for name in ("difference", "low", "high")),
        ],
    )
    ends = [row[name] for row in rows for name in ("low", "high")]
    x = alt.X("difference:Q", title="difference of scores", scale=charts.span([0.0, *ends]))
    told, untold = (base.transform_filter(f"datum.verdict {sign} 'cannot be told'") for sign in ("!=", "=="))
    text: dict[str, Any] = {"align": "left", "baseline": "bottom", "lineHeight": LINE_PIXELS, "dy": -8 - LINE_PIXELS}
    layers = [
        alt.Chart(charts.data([{"at": 0}])).mark_rule(style="reference").encode(x=alt.X("at:Q")),
        base.mark_rule(style="interval", strokeWidth=1.6).encode(x=alt.X("low:Q"), x2="high:Q"),
        untold.mark_point(style="other", filled=True, size=80, shape="circle", opacity=1).encode(x=x),
        told.mark_point(style="trained", filled=True, size=150, shape="diamond", opacity=1).encode(x=x),
        base.mark_text(style="remark", **text).encode(x=alt.value(4), text="label:N"),
    ]
    return charts.spec_of(alt.layer(*layers).properties(height=ROW_PIXELS * len(rows)))


def _values(conclusion: Conclusion) -> dict[str, Any]:
    statement, verdict = conclusion.finding.statement, conclusion.verdict
    return {
        "statement": statement,
        "verdict": verdict,
        "label": _two_lines(f"{statement}: {verdict}"),
        "difference": conclusion.difference,
        "low": conclusion.interval.low,
        "high": conclusion.interval.high,
    }


def _two_lines(text: str) -> list[str]:
    """Return the lines of a text, of which the first one is empty if it fits into one."""
    lines = textwrap.wrap(text, LABEL_CHARACTERS)
    return lines if len(lines) > 1 else ["", *lines]


def _table(concluded: Sequence[Conclusion]) -> PageTable:
    head = ("finding", "difference", "95 % interval", "seeds", "verdict")
    rows = [
        PageRow(
            (
                conclusion.finding.statement,
                f"{conclusion.difference:+.3f}".replace("-", formats.MINUS),
                formats.signed_interval(conclusion.interval.low, conclusion.interval.high),
                str(conclusion.seeds),
                conclusion.verdict,
            )
        )
        for conclusion in concluded
    ]
    return PageTable(head, rows, "All findings")
