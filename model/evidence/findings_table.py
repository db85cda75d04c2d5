"""The table of the study of findings, for the terminal, for documents and as JSON, and its figure of masking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.evidence.findings import Conclusion, RunResult, Score, conclusions, scores
from model.evidence.findings_sweeps import MASKED, METRICS
from model.evidence.rendered_probes import TASKS
from stores.commit import atomic_write, write_bytes
from stores.terminal_table import terminal_table

TABLE_FILE, FIGURE_FILE = "findings.md", "masking.png"


def lines(results: Sequence[RunResult]) -> list[str]:
    """Return the scores and the conclusions as lines for the terminal."""
    rows = [[name, *(cell(by_task[task]) for task in TASKS)] for name, by_task in by_name(results).items()]
    table = terminal_table(("run", "key, weighted", "genre"), rows)
    outcomes = [[outcome.finding.statement, _difference(outcome), outcome.verdict] for outcome in conclusions(results)]
    return [*table, "", *terminal_table(("finding", "difference (95 %)", "verdict"), outcomes)]


def as_json(results: Sequence[RunResult]) -> dict[str, Any]:
    """Return the scores and the conclusions as JSON values."""
    return {
        "scores": [asdict(score) for score in scores(results)],
        "conclusions": [{**asdict(outcome), "verdict": outcome.verdict} for outcome in conclusions(results)],
    }


def write(results: Sequence[RunResult], folder: Path) -> Path:
    """Write the table as Markdown and the figure, and return the path of the table."""
    names = by_name(results)
    rows = [f"| {name} | {' | '.join(cell(of[task]) for task in TASKS)} |" for name, of in names.items()]
    concluded = conclusions(results)
    outcomes = [
        f"| {outcome.finding.statement} | {_difference(outcome)} | {outcome.seeds} | {outcome.verdict} |"
        for outcome in concluded
    ]
    text = [
        "| run | key, weighted | genre |",
        "|---|---|---|",
        *rows,
        "",
        "| finding | difference (95 %) | seeds | verdict |",
        "|---|---|---|---|",
        *outcomes,
    ]
    path = folder / TABLE_FILE
    write_bytes(path, ("\n".join(text) + "\n").encode())
    if any(MASKED[ratio] in names for ratio in (0.5, 0.75, 0.95)):
        draw_masking(results, folder / FIGURE_FILE)
    return path


def draw_masking(results: Sequence[RunResult], path: Path) -> None:
    """Draw the scores by masking ratio at equal clips, like Figure 4 of the paper, and write a PNG file."""
    from matplotlib.figure import Figure

    names = by_name(results)
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for task, color in zip(TASKS, ("#1f5fa8", "#c2571a"), strict=True):
        points = [(100 * ratio, names[run][task]) for ratio, run in MASKED.items() if run in names]
        ratios, values = [ratio for ratio, _ in points], [score.value for _, score in points]
        axes.plot(ratios, values, "o-", color=color, label=f"{task}, {METRICS[task]}")
        axes.fill_between(
            ratios, [s.interval.low for _, s in points], [s.interval.high for _, s in points], color=color, alpha=0.15
        )
    axes.set(xlabel="masked patches in %", ylabel="score", xticks=[50, 75, 90, 95])
    axes.set_title("Vertical patches, equal clips", fontsize="medium")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def by_name(results: Sequence[RunResult]) -> dict[str, dict[str, Score]]:
    """Return the scores by name, then task, in the order of the runs of the study."""
    names: dict[str, dict[str, Score]] = {}
    for score in scores(results):
        names.setdefault(score.name, {})[score.task] = score
    return names


def cell(score: Score) -> str:
    """Return a score with its deviation over seeds and its interval, such as `0.820 ± 0.012 (0.775 to 0.864)`."""
    spread = f" ± {score.deviation:.3f}" if score.seeds > 1 else ""
    return f"{score.value:.3f}{spread} ({score.interval.low:.3f} to {score.interval.high:.3f})"


def _difference(outcome: Conclusion) -> str:
    return f"{outcome.difference:+.3f} ({outcome.interval.low:+.3f} to {outcome.interval.high:+.3f})"
