"""Training curves of a run: its loss, k-NN validation, speed, and the reconstructions of a masked autoencoder."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from model.page import charts, formats
from model.page.charts import Spec
from model.page.document import Section
from model.page.elements import PageChart, PageRow, PageTable
from model.page.run_results import RunResults
from model.training.config import TrainConfig

_MAX_TABLE_ROWS = 24
_CURVES = {
    "alignment": (
        "alignment",
        "Alignment: mean squared distance between the two views of a clip. Lower is better. It rises at first, because "
        "the embeddings of an untrained encoder are almost equal and first have to spread.",
    ),
    "uniformity": (
        "uniformity",
        "Uniformity: how evenly the embeddings spread over the sphere (lower is more even).",
    ),
    "neighbours": (
        "k-NN validation accuracy",
        "k-NN validation: share of validation clips whose class their nearest training clips predict correctly.",
    ),
    "windows_per_second": ("windows per second", "Speed: windows that pass through the encoder per second."),
}
"""Fields of metrics.jsonl that are drawn besides the loss, with the title of the axis and an explanation."""


def section(results: RunResults) -> Section:
    """Return curves over training steps with their numbers."""
    rows = results.metrics
    if results.config is None or not any("loss" in row for row in rows):
        return Section("Training", "training", {"loss": None})
    fields = [name for name in _CURVES if any(name in row for row in rows)]
    lead = _lead(rows, results.config.objective.label)
    content = {
        "loss": PageChart("training-loss", lead),
        "curves": [{"text": _CURVES[name][1], "chart": _curve(rows, name)} for name in fields],
        "table": _table(rows, ["loss", *fields]),
        "reconstruction": _data_uri(results.reconstruction),
    }
    curves = {f"training-{name}": charts.curve(rows, name, _CURVES[name][0]) for name in fields}
    return Section("Training", "training", content, {"training-loss": loss_chart(rows, results.config), **curves})


def loss_chart(rows: Sequence[Mapping[str, Any]], config: TrainConfig) -> Spec:
    """Return the loss over steps. For infonce, a line shows the loss of guessing among the 2 * batch - 1 other views.

    Other objectives have other zeros, and the global ones become negative when negatives are far apart.
    """
    title = f"{config.objective.label} loss"
    if config.objective.name != "infonce":
        return charts.curve(rows, "loss", title)
    return charts.curve(rows, "loss", f"{title} (nats)", ("chance", math.log(2 * config.batch - 1)))


def _lead(rows: Sequence[Mapping[str, Any]], objective: str) -> str:
    losses = [row["loss"] for row in rows if "loss" in row]
    steps = rows[-1]["step"] + 1
    return f"The {objective} loss went from {losses[0]:.3f} to {losses[-1]:.3f} in {steps:,} steps."


def _curve(rows: Sequence[Mapping[str, Any]], field: str) -> PageChart:
    values = [row[field] for row in rows if field in row]
    return PageChart(f"training-{field}", f"{_CURVES[field][0]}: from {values[0]:.4g} to {values[-1]:.4g}.")


def _table(rows: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> PageTable:
    interval = -(-len(rows) // _MAX_TABLE_ROWS)
    lines = [
        PageRow((f"{row['step']:,}", *(f"{row[name]:.4g}" if name in row else formats.MISSING for name in fields)))
        for row in [*rows[:-1:interval], rows[-1]]
    ]
    shown = "all lines" if interval == 1 else f"every {interval}th line and the last one"
    return PageTable(("step", *(_CURVES.get(name, (name,))[0] for name in fields)), lines, f"metrics.jsonl, {shown}")


def _data_uri(picture: bytes | None) -> str:
    """Return a PNG as a data URI, or an empty text if there is none."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture is not None else ""
