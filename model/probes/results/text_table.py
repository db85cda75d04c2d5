"""Scores as text for a terminal."""

from __future__ import annotations

from model.probes.config import FULL, GRIDS
from model.probes.results.scores import RepresentationScores, Scores

_NARROWEST = 20  # characters of a name


def table(scores: Scores) -> str:
    """What was scored, then a block for each metric: all representations, majority and chance."""
    clips = ", ".join(f"{count} {split}" for split, count in scores.clips.items())
    outputs = {"tags": "tags", "numbers": "numbers"}.get(scores.kind, "classes")
    lines = [
        f"{scores.dataset} / {scores.task}: {len(scores.classes)} {outputs}, {clips}, {scores.test_groups} test groups",
        f"  {_how(scores)}",
    ]
    for metric in scores.rows[0].metrics:
        lines += _block(scores, metric)
    if scores.rows[0].efficiency:
        lines.append(_efficiency(scores))
    return "\n".join(lines)


def _efficiency(scores: Scores) -> str:
    """What the first representation scores with fewer labels."""
    row, metric = scores.rows[0], scores.metric
    parts = [f"{one['metrics'][metric]:.3f} of {one['clips']:,}" for one in row.efficiency]
    return f"  {row.representation} by training clips, {metric}: {', '.join(parts)}"


def _how(scores: Scores) -> str:
    """The search in a line; anything but the paper's grid is said to be no such thing."""
    if scores.grid not in GRIDS:
        return scores.grid
    marked = "" if scores.grid == FULL.name else "; not the paper's protocol, which is --grid full"
    songs = ", ".join(f"{count} {split}" for split, count in scores.songs.items())
    voted = f"; scored by song: {songs}" if songs else ""
    return f"{scores.grid} grid: {scores.probes} probes, chosen on validation{marked}{voted}"


def _block(scores: Scores, metric: str) -> list[str]:
    seeds, wide = len(scores.rows[0].metrics[metric].seeds), max(_NARROWEST, *(len(_name(row)) for row in scores.rows))
    head = f"  {metric:<{wide + 2}}{'width':>6}{'test':>8}{'95 % interval':>18}"
    head += f"{f'{seeds} seeds':>16}{'k-NN':>8}" if seeds else ""
    lines = [f"{head}   trained is ahead by (95 %)"]
    lines += [_line(row, metric, wide) for row in scores.rows]
    guesses = {"majority": scores.majority[metric], "chance": scores.chance[metric]}
    return lines + [f"    {name:<{wide}}{'':>6}{value:>8.3f}" for name, value in guesses.items()]


def _name(row: RepresentationScores) -> str:
    return f"{row.representation} ({row.part})" if row.part else row.representation


def _line(row: RepresentationScores, metric: str, wide: int) -> str:
    one = row.metrics[metric]
    within = f"{one.interval.low:.3f} to {one.interval.high:.3f}"
    line = f"    {_name(row):<{wide}}{row.width:>6}{one.value:>8.3f}{within:>18}"
    if one.seeds:
        mean = sum(one.seeds) / len(one.seeds)
        line += f"{f'{mean:.3f} ± {one.spread:.3f}':>16}"
    if one.neighbours is not None:
        line += f"{one.neighbours:>8.3f}"
    return line + (f"   {one.lead.low:+.3f} to {one.lead.high:+.3f}" if one.lead else "")
