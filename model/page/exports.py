"""The page's charts and numbers as files beside it: SVG, PNG, JSON and CSV, by the same charts and the same scores.

reports/NAME.figures/*.svg, *.png   every chart, in the light theme
reports/NAME.json                   scores, sweeps, settings, what was quoted
reports/NAME.csv                    a line for each score, in the long form
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
from stores.commit import write_bytes, write_json

FORMAT_VERSION = 1
COLUMNS = (
    *("dataset", "task", "representation", "metric", "value", "low", "high", "lead_low", "lead_high"),
    *("neighbours", "seeds_mean", "seeds_deviation", "width", "grid", "train_clips", "test_clips", "test_groups"),
    "source",
)
"""Of the CSV; `source` is empty for what was measured here."""
WIDTH_PIXELS = 720
SCALE = 2.0
"""PNG pixels for a pixel of the chart."""
_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # vl-convert knows no system-ui


def write(
    page: Path, findings: RunResults, quotes: Sequence[Quote], charts: Mapping[str, Mapping[str, Any]]
) -> list[Path]:
    """Write everything beside the page at `page`; returns the paths. Figures of charts that are no more are removed.

    The same findings give the same bytes. Every file appears whole or not at all.

    Args:
        page: path of the page.
        findings: the numbers.
        quotes: published by others.
        charts: Vega-Lite by name.
    """
    folder = page.with_suffix(".figures")
    paths = [path for name, spec in charts.items() for path in _figures(folder, name, spec)]
    if folder.is_dir():
        for old in {*folder.glob("*.svg"), *folder.glob("*.png")} - set(paths):
            old.unlink()
    write_json(page.with_suffix(".json"), content(findings, quotes))
    write_bytes(page.with_suffix(".csv"), long_form(findings, quotes).encode())
    return [*paths, page.with_suffix(".json"), page.with_suffix(".csv")]


def content(findings: RunResults, quotes: Sequence[Quote]) -> dict[str, Any]:
    """All that the page tells, JSON."""
    return {
        "format_version": FORMAT_VERSION,
        "run": findings.run,
        "store": findings.store,
        "config": findings.config.to_dict(),
        "scores": [asdict(one) for one in findings.scores],
        "quoted": [{name: getattr(one, name) for name in FIELDS} for one in quotes],
        "sweeps": [asdict(one) for one in findings.sweeps],
        "metrics": list(findings.metrics),
    }


def long_form(findings: RunResults, quotes: Sequence[Quote]) -> str:
    """CSV with a line for each score of each representation, then those that are quoted."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_measured(findings))
    for one in quotes:
        dataset, task, metric = ("", "", one.column) if one.column == AVERAGE else one.column.split("/")
        place = {"dataset": dataset, "task": task, "representation": one.row, "metric": metric}
        writer.writerow({**place, "value": one.value, "source": one.source})
    return text.getvalue()


def picture(spec: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """A chart as SVG and as PNG, in the light theme on white."""
    config = {**theme.vega_config(theme.LIGHT), "background": theme.LIGHT.card, "font": _FONT}
    wide = {**spec, "width": WIDTH_PIXELS} if spec.get("width") == "container" else dict(spec)
    svg = vl_convert.vegalite_to_svg(wide, vl_version=VEGA_LITE, config=config)
    return svg.encode(), bytes(vl_convert.svg_to_png(svg, scale=SCALE))


def _figures(folder: Path, name: str, spec: Mapping[str, Any]) -> Iterable[Path]:
    for suffix, drawn in zip((".svg", ".png"), picture(spec), strict=True):
        write_bytes(folder / f"{name}{suffix}", drawn)
        yield folder / f"{name}{suffix}"


def _measured(findings: RunResults) -> Iterable[dict[str, Any]]:
    for one in findings.scores:
        facts = {"dataset": one.dataset, "task": one.task, "grid": one.grid, "test_groups": one.test_groups}
        clips = {"train_clips": one.clips.get("train", ""), "test_clips": one.clips.get("test", "")}
        for row in one.rows:
            for name, metric in row.metrics.items():
                lead = {"lead_low": metric.lead.low, "lead_high": metric.lead.high} if metric.lead else {}
                within = {"value": metric.value, "low": metric.interval.low, "high": metric.interval.high}
                seeds = {"seeds_mean": fmean(metric.seeds or (0.0,)), "seeds_deviation": metric.spread}
                more = {"width": row.width, "neighbours": "" if metric.neighbours is None else metric.neighbours}
                who = {"representation": row.representation, "metric": name}
                yield {**facts, **clips, **who, **within, **lead, **more, **(seeds if metric.seeds else {})}
