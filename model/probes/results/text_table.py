"""Scores as a text table for a terminal."""

from __future__ import annotations

from model.probes.config import FULL, GRIDS
from model.probes.results.scores import RepresentationScores, Scores

_MIN_NAME_WIDTH = 20  # characters


def table(scores: Scores) -> str:
    """Return a summary of the task, and a block for each metric with all representations and dummy baselines."""
    clips = ", ".join(f"{count} {split}" for split, count in scores.clips.items())
    outputs = {"tags": "tags", "numbers": "numbers"}.get(scores.kind, "classes")
    lines = [
        f"{scores.dataset} / {scores.task}: {len(scores.classes)} {outputs}, {clips}, {scores.test_groups} test groups",
        f"  {_method(scores)}",
    ]
    for metric in scores.rows[0].metrics:
        lines += _block(scores, metric)
    lines += [_slices(row, scores.metric) for row in scores.rows if row.slices]
    if scores.rows[0].efficiency:
        lines.append(_label_efficiency(scores))
    return "\n".join(lines)


def _slices(row: RepresentationScores, metric: str) -> str:
    """Return a line with the test score of each slice of a hybrid, where a star marks the one that validation chose."""
    values = [
        f"{name}{'*' if name == row.part else ''} {each['test'][metric]:.3f}" for name, each in row.slices.items()
    ]
    return f"  {row.representation} by patches, {metric} (* chosen on validation): {', '.join(values)}"


def _label_efficiency(scores: Scores) -> str:
    """Return a line with the label efficiency of the first representation."""
    row, metric = scores.rows[0], scores.metric
    values = [f"{subset['metrics'][metric]:.3f} with {subset['clips']:,}" for subset in row.efficiency]
    return f"  {row.representation} by number of training clips, {metric}: {', '.join(values)}"


def _method(scores: Scores) -> str:
    """Return a line about the search, which marks every grid but that of the paper."""
    if scores.grid not in GRIDS:
        return scores.grid
    mark = "" if scores.grid == FULL.name else "; not the paper's protocol, which is --grid full"
    counts = ", ".join(f"{count} {split}" for split, count in scores.songs.items())
    songs = f"; scored by song: {counts}" if counts else ""
    return f"{scores.grid} grid: {scores.probes} probes, chosen on validation{mark}{songs}"


def _block(scores: Scores, metric: str) -> list[str]:
    seeds = len(scores.rows[0].metrics[metric].seeds)
    name_width = max(_MIN_NAME_WIDTH, *(len(_name(row)) for row in scores.rows))
    head = f"  {metric:<{name_width + 2}}{'width':>6}{'test':>8}{'95 % interval':>18}"
    head += f"{f'{seeds} seeds':>16}{'k-NN':>8}" if seeds else ""
    lines = [f"{head}   trained is ahead by (95 %)"]
    lines += [_line(row, metric, name_width) for row in scores.rows]
    baselines = {"majority": scores.majority[metric], "chance": scores.chance[metric]}
    return lines + [f"    {name:<{name_width}}{'':>6}{value:>8.3f}" for name, value in baselines.items()]


def _name(row: RepresentationScores) -> str:
    return f"{row.representation} ({row.part})" if row.part else row.representation


def _line(row: RepresentationScores, metric: str, name_width: int) -> str:
    score = row.metrics[metric]
    interval = f"{score.interval.low:.3f} to {score.interval.high:.3f}"
    line = f"    {_name(row):<{name_width}}{row.width:>6}{score.value:>8.3f}{interval:>18}"
    if score.seeds:
        mean = sum(score.seeds) / len(score.seeds)
        line += f"{f'{mean:.3f} ± {score.seed_deviation:.3f}':>16}"
    if score.neighbours is not None:
        line += f"{score.neighbours:>8.3f}"
    return line + (f"   {score.lead.low:+.3f} to {score.lead.high:+.3f}" if score.lead else "")
