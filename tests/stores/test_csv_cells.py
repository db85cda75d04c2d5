"""Cells of CSV files that a spreadsheet would run as a formula become text."""

from __future__ import annotations

import pytest

from stores.csv_cells import escape


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-x"])
def test_formulas_get_an_apostrophe(cell):
    assert escape(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "a=b", "-0.5", "+1e3", "-inf", "Eb minor", "a-b", "'=1"])
def test_other_cells_stay_as_they_are(cell):
    assert escape(cell) == cell
