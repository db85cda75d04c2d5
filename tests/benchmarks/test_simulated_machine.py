"""What travels to a machine with a GPU is enough for both visits, and older libraries have all names that are used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "gpu"
ROOT = FOLDER.parents[2]

HOOK = """
import sys

sys.path[:0] = [{folder!r}, {root!r}, {tests!r}]
from installation import IMAGE, WHEELS

OTHER_NAMES = {{"scikit-learn": "sklearn", "PyYAML": "yaml", "nnaudio": "nnAudio", "pytest-xdist": "xdist"}}
TORCH_AND_DEPENDENCIES = {dependencies!r}
admitted = {{OTHER_NAMES.get(name, name.replace("-", "_")) for name in (*IMAGE, *WHEELS)}} - set({without!r})
admitted |= set(TORCH_AND_DEPENDENCIES) | sys.stdlib_module_names
sys.modules.update(dict.fromkeys(set({installed!r}) - admitted))  # importing these fails now

import ceilings, mel, baselines, step, visit, pytest
files = *visit.PARITY, *visit.OTHER_PARITY
sys.exit(pytest.main(["-q", "--collect-only", "-p", "pytest_timeout", "-p", "xdist", "-o", "filterwarnings=", *files]))
"""
DEPENDENCIES = (
    *("torch", "torchgen", "functorch", "triton", "sympy", "mpmath", "typing_extensions", "filelock", "fsspec"),
    *("networkx", "jinja2", "markupsafe", "setuptools", "pkg_resources", "joblib", "threadpoolctl", "narwhals"),
    *("wadler_lindig", "urllib3", "idna", "certifi", "charset_normalizer", "contourpy", "cycler", "fontTools"),
    *("kiwisolver", "PIL", "dateutil", "pyparsing", "six", "packaging", "pluggy", "iniconfig", "pygments", "execnet"),
    *("py", "_pytest", "yaml", "_yaml", "mpl_toolkits", "pylab"),
)
"""Modules of PyTorch, Triton, and what the packages of the image need."""


def _installed():
    """Return the names of all modules in the folder of installed packages."""
    return sorted({entry.name.split(".")[0] for entry in Path(pytest.__file__).parents[1].iterdir()})


def _import_on_the_machine(without=()):
    """Import the scripts and the tests of both visits in a process that has only the packages of the machine."""
    names = {"folder": str(FOLDER), "root": str(ROOT), "tests": str(ROOT / "tests"), "without": list(without)}
    names |= {"dependencies": DEPENDENCIES, "installed": _installed()}
    words = [sys.executable, "-c", HOOK.format(**names)]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_both_visits_import_only_what_is_on_the_machine():
    ended = _import_on_the_machine()
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]


@pytest.mark.slow
def test_a_package_that_is_not_on_the_machine_is_named():
    ended = _import_on_the_machine(without=["pydantic"])
    assert ended.returncode != 0
    assert "import of pydantic halted" in ended.stdout + ended.stderr


def test_older_libraries_have_all_names_that_are_used(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from used_names import KEPT, unknown_names, used_names

    names = used_names()
    assert {"torch.cuda.graph", "triton.language.dot"} <= set(names)
    assert not set(names) - set(KEPT.read_text().splitlines()), "run tests/benchmarks/gpu/simulated_machine.py"
    assert unknown_names(["torch.cat", "torch.no_such_name", "torch.cuda.graph(no_such_keyword)"]) == [
        "torch.no_such_name",
        "torch.cuda.graph(no_such_keyword)",
    ]


def test_the_page_lists_what_travels(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from installation import IMAGE, WHEELS

    page = (ROOT / "docs/gpu.md").read_text()
    installing = page[page.index("## What to install") : page.index("## Two visits")]
    words = set(re.findall(r"[\w-]+", installing.lower()))
    assert {name.lower() for name in (*IMAGE, *WHEELS)} <= words
