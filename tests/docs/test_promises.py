"""Each promise of docs/promises.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_promise_names_an_existing_test():
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py")]
    existing = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    rows = [line for line in (ROOT / "docs" / "promises.md").read_text().splitlines() if line.startswith("| ")]
    promises = [line for line in rows if "`test_" in line]
    named = {name for line in promises for name in re.findall(r"`(test_\w+)`", line)}
    assert len(promises) > 20
    assert named - existing == set()
    for table in re.split(r"\n\n", (ROOT / "docs" / "promises.md").read_text()):
        if table.startswith("| promise | test |"):
            assert all("`test_" in line for line in table.splitlines()[2:])
