"""The page shows the calibration errors of the probes before and after temperature scaling."""

from __future__ import annotations

from dataclasses import replace

from model.page import calibration
from model.probes.results.scores import TRAINED

VALUES = {"temperature": 1.75, "error_before": 0.1234, "error_after": 0.0456, "clips": 300.0}


def test_the_errors_before_and_after_are_in_a_table(results):
    first = results.scores[0]
    rows = [replace(row, calibration=VALUES if row.representation == TRAINED else {}) for row in first.rows]
    section = calibration.section([replace(first, rows=tuple(rows))])
    body = section.body
    for text in ("1.75", "0.123", "0.046", "300", f"{first.dataset} / {first.task}"):
        assert text in body


def test_without_a_calibrated_probe_there_is_no_section(results):
    rows = [replace(row, calibration={}) for row in results.scores[0].rows]
    assert calibration.section([replace(results.scores[0], rows=tuple(rows))]) is None
