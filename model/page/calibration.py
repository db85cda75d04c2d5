"""Calibration: how well the probabilities of the winning probes agree with how often they are right."""

from __future__ import annotations

from collections.abc import Sequence

from model.page import formats
from model.page.document import Section
from model.page.elements import PageRow, PageTable
from model.probes.results.scores import TRAINED, RepresentationScores, Scores


def section(scores: Sequence[Scores]) -> Section | None:
    """Return a table of the calibration errors of all tasks, or None if no probe was calibrated."""
    rows = [
        _row(one_task, row)
        for one_task in scores
        for row in one_task.rows
        if row.calibration and row.representation == TRAINED
    ]
    if not rows:
        return None
    head = ("task", "temperature", "error before", "error after", "test clips")
    table = PageTable(head, rows, "Expected calibration error of the probes of the trained encoder")
    return Section("Calibration", "calibration", {"table": table}, {})


def _row(scores: Scores, row: RepresentationScores) -> PageRow:
    values = row.calibration
    errors = (formats.number(values[name]) for name in ("error_before", "error_after"))
    cells = (f"{scores.dataset} / {scores.task}", f"{values['temperature']:.2f}", *errors, f"{int(values['clips']):,}")
    return PageRow(cells)
