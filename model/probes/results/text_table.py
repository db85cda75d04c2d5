"""Scores as a text table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from model.probes.config import FULL, GRIDS
from model.probes.results.scores import RepresentationScores, Scores
from stores.terminal import terminal_columns

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
    """Return the lines of a metric. Columns are as wide as their widest cell, and fewer if the terminal is narrow."""
    seeds = len(scores.rows[0].metrics[metric].seeds)
    head = {"name": metric, "width": "width", "test": "test", "interval": "95 % interval", "seeds": f"{seeds} seeds"}
    head |= {"k-NN": "k-NN", "lead": "trained is ahead by (95 %)"}
    rows = [_cells(row, metric) for row in scores.rows]
    baselines = {"majority": scores.majority[metric], "chance": scores.chance[metric]}
    rows += [{"name": f"  {name}", "test": f"{value:.3f}"} for name, value in baselines.items()]
    columns = [column for column in head if column == "lead" or any(row.get(column) for row in rows)]
    widths = {column: _width(column, [head[column], *(row.get(column, "") for row in rows)]) for column in columns}
    for column in _OPTIONAL:
        if sum(widths.values()) > terminal_columns() and column in widths:
            del widths[column]
    return [_line({column: cells.get(column, "") for column in widths}, widths) for cells in (head, *rows)]


_OPTIONAL = ("k-NN", "seeds", "width")
"""Columns that a narrow terminal lacks, in the order in which they are left out. The file of scores has them."""
_MIN_WIDTHS = {"name": _MIN_NAME_WIDTH + 4, "width": 6, "test": 8, "interval": 18, "seeds": 16, "k-NN": 8}


def _width(column: str, cells: Sequence[str]) -> int:
    """Return the width of a column with a space on its left, of at least two characters for all but the first."""
    longest = max(map(len, cells))
    return max(_MIN_WIDTHS.get(column, 0), longest + {"name": 2, "lead": 3}.get(column, 1))


def _line(cells: Mapping[str, str], widths: Mapping[str, int]) -> str:
    texts = [
        f"  {text:<{widths[column] - 2}}"
        if column == "name"
        else f"   {text}"
        if column == "lead"
        else f"{text:>{widths[column]}}"
        for column, text in cells.items()
    ]
    return "".join(texts).rstrip()


def _name(row: RepresentationScores) -> str:
    return f"{row.representation} ({row.part})" if row.part else row.representation


def _cells(row: RepresentationScores, metric: str) -> dict[str, str]:
    score = row.metrics[metric]
    cells = {"name": f"  {_name(row)}", "width": str(row.width), "test": f"{score.value:.3f}"}
    cells["interval"] = f"{score.interval.low:.3f} to {score.interval.high:.3f}"
    if score.seeds:
        cells["seeds"] = f"{sum(score.seeds) / len(score.seeds):.3f} ± {score.seed_deviation:.3f}"
    if score.neighbours is not None:
        cells["k-NN"] = f"{score.neighbours:.3f}"
    if score.lead:
        cells["lead"] = f"{score.lead.low:+.3f} to {score.lead.high:+.3f}"
    return cells
