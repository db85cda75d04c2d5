"""The charts and numbers of the page as files beside it.

reports/NAME.figures/*.svg, *.png   every chart in the light theme
reports/NAME.json                   scores, sweeps, settings and quoted scores
reports/NAME.csv                    one line for each score
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import vl_convert

from model.page import theme
from model.page.document import VEGA_LITE
from model.page.quoted import AVERAGE, FIELDS, Quote
from model.page.run_results import RunResults
from model.page.sweeps import UNTRAINED
from model.probes.results.scores import TRAINED
from stores import csv_cells
from stores.commit import write_bytes, write_json
from stores.sweep_file import Sweep, SweepPoint

FORMAT_VERSION = 1
COLUMNS = (
    *("dataset", "task", "representation", "metric", "value", "low", "high", "lead_low", "lead_high"),
    *("neighbours", "seeds_mean", "seeds_deviation", "width", "grid", "train_clips", "test_clips", "test_groups"),
    "source",
)
"""Columns of the CSV file. `source` is empty for scores that were measured here."""
WIDTH_PIXELS = 720
SCALE = 2.0
"""Pixels of a PNG per pixel of the chart."""
_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # vl-convert does not know system-ui


def write(
    page: Path, results: RunResults, quotes: Sequence[Quote], charts: Mapping[str, Mapping[str, Any]]
) -> list[Path]:
    """Write all files beside the page and return their paths. Figures of former charts are removed.

    The same results give the same bytes. Every file is written atomically.

    Args:
        page: path of the page.
        results: what the page shows.
        quotes: scores that others published.
        charts: Vega-Lite specifications by name.
    """
    folder = page.with_suffix(".figures")
    paths = [path for name, spec in charts.items() for path in _write_figures(folder, name, spec)]
    if folder.is_dir():
        for former in {*folder.glob("*.svg"), *folder.glob("*.png")} - set(paths):
            former.unlink()
    write_json(page.with_suffix(".json"), content(results, quotes))
    write_bytes(page.with_suffix(".csv"), long_form(results, quotes).encode())
    return [*paths, page.with_suffix(".json"), page.with_suffix(".csv")]


def content(results: RunResults, quotes: Sequence[Quote]) -> dict[str, Any]:
    """Return everything that the page shows as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "run": results.run,
        "store": results.store,
        "config": results.config.to_dict() if results.config else None,
        "scores": [asdict(one_task) for one_task in results.scores],
        "layers": [one_task.to_dict() for one_task in results.layers],
        "quoted": [{name: getattr(quote, name) for name in FIELDS} for quote in quotes],
        "sweeps": [_sweep(sweep) for sweep in results.sweeps],
        "metrics": list(results.metrics),
    }


def long_form(results: RunResults, quotes: Sequence[Quote]) -> str:
    """Return CSV with a line for each score of each representation, followed by the quoted scores."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_escaped, _measured(results)))
    writer.writerows(map(_escaped, _layers(results)))
    for quote in quotes:
        dataset, task, metric = ("", "", quote.column) if quote.column == AVERAGE else quote.column.split("/")
        subject = {"dataset": dataset, "task": task, "representation": quote.row, "metric": metric}
        writer.writerow(_escaped({**subject, "value": quote.value, "source": quote.source}))
    return text.getvalue()


def _escaped(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose texts a spreadsheet does not run as formulas."""
    return {name: csv_cells.escape(value) if isinstance(value, str) else value for name, value in row.items()}


def picture(spec: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return a chart as SVG and as PNG, in the light theme on white."""
    config = {**theme.vega_config(theme.LIGHT), "background": theme.LIGHT.card, "font": _FONT}
    sized = {**spec, "width": WIDTH_PIXELS} if spec.get("width") == "container" else dict(spec)
    svg = vl_convert.vegalite_to_svg(sized, vl_version=VEGA_LITE, config=config)
    return svg.encode(), bytes(vl_convert.svg_to_png(svg, scale=SCALE))


def _write_figures(folder: Path, name: str, spec: Mapping[str, Any]) -> Iterable[Path]:
    for suffix, image in zip((".svg", ".png"), picture(spec), strict=True):
        write_bytes(folder / f"{name}{suffix}", image)
        yield folder / f"{name}{suffix}"


def _measured(results: RunResults) -> Iterable[dict[str, Any]]:
    for one_task in results.scores:
        task = {name: getattr(one_task, name) for name in ("dataset", "task", "grid", "test_groups")}
        clips = {f"{split}_clips": one_task.clips.get(split, "") for split in ("train", "test")}
        for row in one_task.rows:
            for name, metric in row.metrics.items():
                subject = {"representation": row.representation, "metric": name, "width": row.width}
                score = {"value": metric.value, "low": metric.interval.low, "high": metric.interval.high}
                difference = {"lead_low": metric.lead.low, "lead_high": metric.lead.high} if metric.lead else {}
                knn = {"neighbours": "" if metric.neighbours is None else metric.neighbours}
                seeds = {"seeds_mean": fmean(metric.seeds or (0.0,)), "seeds_deviation": metric.seed_deviation}
                yield {**task, **clips, **subject, **score, **difference, **knn, **(seeds if metric.seeds else {})}


def _layers(results: RunResults) -> Iterable[dict[str, Any]]:
    for one_task in results.layers:
        task = {name: getattr(one_task, name) for name in ("dataset", "task", "metric", "grid")}
        clips = {f"{split}_clips": one_task.clips.get(split, "") for split in ("train", "test")}
        for row in one_task.rows:
            score = {name: getattr(row, name) for name in ("value", "low", "high", "width")}
            yield {**task, **clips, "representation": f"layer {row.layer}", **score}


def _sweep(sweep: Sweep) -> dict[str, Any]:
    names = ("name", "command", "store", "over", "fair", "clips_seen")
    return {**{name: getattr(sweep, name) for name in names}, "points": [_point(point) for point in sweep.points]}


def _point(point: SweepPoint) -> dict[str, Any]:
    names = ("run", "batch", "steps", "seconds_per_step", "loss")
    value = point.value if isinstance(point.value, str) else float(point.value)
    scores = {"scores": _point_scores(point, TRAINED), "untrained": _point_scores(point, UNTRAINED)}
    return {"value": value, **{name: getattr(point, name) for name in names}, **scores}


def _point_scores(point: SweepPoint, representation: str) -> list[dict[str, Any]]:
    names = ("dataset", "task", "metric", "value", "low", "high")
    chosen = [score for score in point.scores if score.representation == representation]
    return [{name: getattr(score, name) for name in names} for score in chosen]
