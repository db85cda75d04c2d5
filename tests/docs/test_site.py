"""The site builds without a warning and without a network, and its pages load nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().split("nav:")[1]
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if not re.search(rf": {page}$", navigation, re.MULTILINE)] == []


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path: path.read_text() for path in (tmp_path / "site").rglob("*.html")}
    assert len(pages) > 25
    loaded = r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"?(https?:[^\" >]+)"
    assert {found for text in pages.values() for found in re.findall(loaded, text)} == set()
    docstring_of_a_field = "Number N of frames in a window"
    assert docstring_of_a_field in pages[tmp_path / "site/reference/model/index.html"]
