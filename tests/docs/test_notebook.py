"""The cells of docs/notebook.ipynb run in their order, and it has no stored outputs, which could become untrue."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import synthetic_songs

NOTEBOOK = json.loads((Path(__file__).parents[2] / "docs" / "notebook.ipynb").read_text())
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_no_output_is_stored():
    assert not any(cell.get("outputs") for cell in NOTEBOOK["cells"])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_all_cells_run_and_end_with_what_they_show(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    synthetic_songs.write(tmp_path / "music", 40)
    namespace = {}
    shown = [_run(source, namespace) for source in CELLS]
    assert shown[0] == (40, 384)
    assert shown[1][0] == (40, 384)
    assert shown[2] == (384,)
    assert shown[4] > 0.9  # calm and bright songs are easily told apart
    assert shown[6][2:] == ((128, 96), (40, 384))


def _run(source, namespace):
    """Execute a cell, and return the value of its last expression, as a notebook shows it."""
    *statements, last = ast.parse(source).body
    exec(compile(ast.Module(statements, []), "cell", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)
