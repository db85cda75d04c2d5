"""How the run went: its loss, what the online checks saw, how fast it was, and what a masked autoencoder paints."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from model.page import charts, markup
from model.page.charts import Spec
from model.page.document import Section
from model.page.markup import Line
from model.page.run_results import RunResults
from model.training.config import TrainConfig

_SHOWN_ROWS = 24
_CHECKS = {
    "alignment": ("alignment", "Alignment: how far the two views of a clip lie apart; lower is closer."),
    "uniformity": ("uniformity", "Uniformity: how evenly embeddings fill the sphere; lower is more even."),
    "neighbours": (
        "accuracy of neighbours",
        "Neighbours: how often the nearest ones share the label that is checked.",
    ),
    "windows_per_second": ("windows a second", "Speed: windows that pass the encoder in a second."),
}
"""Fields of metrics.jsonl that are drawn besides the loss: the axis' title, and what it is."""


def section(findings: RunResults) -> Section:
    """Curves over steps, with their numbers."""
    rows, objective = findings.metrics, findings.config.objective.name
    losses = [row["loss"] for row in rows if "loss" in row]
    if not losses:
        return Section("Training", markup.paragraph("The run has measured nothing yet."), {}, {})
    drawn = {"training-loss": loss_chart(rows, findings.config)}
    steps = rows[-1]["step"] + 1
    lead = f"The {objective} loss went from {losses[0]:.3f} to {losses[-1]:.3f} in {steps:,} steps."
    body = markup.paragraph(lead) + markup.chart("training-loss", lead)
    checks = [name for name in _CHECKS if any(name in row for row in rows)]
    parts = []
    for name in checks:
        title, told = _CHECKS[name]
        drawn[f"training-{name}"] = charts.curve(rows, name, title)
        there = [row[name] for row in rows if name in row]
        parts.append(
            markup.paragraph(told, quiet=True)
            + markup.chart(f"training-{name}", f"{title}: from {there[0]:.4g} to {there[-1]:.4g}.")
        )
    body += markup.side_by_side(parts) + markup.folded("The numbers", _numbers(rows, ["loss", *checks]))
    return Section("Training", body + _reconstruction(findings.reconstruction), drawn, {})


def loss_chart(rows: Sequence[Mapping[str, Any]], config: TrainConfig) -> Spec:
    """Loss over steps; for infonce with the loss of guessing among all 2 * batch - 1 other views.

    Other objectives have other zeros, and the global ones are negative once negatives lie far apart.
    """
    title = f"{config.objective.name} loss"
    if config.objective.name != "infonce":
        return charts.curve(rows, "loss", title)
    return charts.curve(rows, "loss", f"{title} (nats)", ("guessing", math.log(2 * config.batch - 1)))


def _numbers(rows: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> str:
    every = -(-len(rows) // _SHOWN_ROWS)
    shown = [*rows[:-1:every], rows[-1]]
    lines = [
        Line((f"{row['step']:,}", *(f"{row[name]:.4g}" if name in row else markup.GONE for name in fields)))
        for row in shown
    ]
    which = "all lines" if every == 1 else f"every {every}th line and the last"
    return markup.table(("step", *(_CHECKS.get(name, (name,))[0] for name in fields)), lines, f"metrics.jsonl, {which}")


def _reconstruction(picture: bytes | None) -> str:
    if picture is None:
        return ""
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    told = "Windows of the first batch: as they are, what is left of them after masking, and what the decoder paints."
    drawn = markup.image(source, "Mel spectrograms in three columns: input, visible, reconstruction", told)
    return markup.heading("Reconstructions") + drawn
