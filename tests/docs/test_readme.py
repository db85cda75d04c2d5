"""The README keeps its word: its examples run, its commands and their options are there, its links lead somewhere."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from doc_examples import MARKER, TYPED, python_blocks

from model.encoder.config import preset

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = python_blocks(README)
COMMANDS = [(module, arguments) for module, arguments in TYPED.findall(README) if module != "pip"]


@pytest.fixture
def after_the_demo(tmp_path, monkeypatch, make_store):
    """A folder that looks as `make demo` leaves it, with clips and weights made out of nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    make_store([313, 300], "stores/demo.zarr")
    config = replace(tiny.train_config(), encoder=preset("tiny"))
    tiny.write_run(tmp_path / "runs" / "demo-tiny-0", config)


def test_the_readme_has_as_manypython_blocks_as_markers():
    assert len(BLOCKS) == README.count(MARKER) >= 1
    assert len(re.findall(r"^\s*(?:>>> |import \w)", README, re.MULTILINE)) == sum(
        len(re.findall(r"^import \w", block, re.MULTILINE)) for block in BLOCKS
    ), "a Python example without a marker would not be tried"


@pytest.mark.parametrize("source", BLOCKS, ids=range(len(BLOCKS)))
def test_every_python_example_runs_and_gives_what_its_comments_say(after_the_demo, source):
    namespace = {}
    exec(compile(source, "README.md", "exec"), namespace)
    for name, shape in re.findall(r"^\s*(\w+) = .*# .*\[([\d, ]+)\]$", source, re.MULTILINE):
        assert list(namespace[name].shape) == [int(size) for size in shape.split(",")], name


def test_blocks_are_found_fenced_and_indented():
    text = f"a\n{MARKER}\n```python\nx = 1\n```\nb\n\n{MARKER}\n\n    y = 2\n\n    z = 3\n\nc\n"
    assert [block.strip() for block in python_blocks(text)] == ["x = 1", "y = 2\n\nz = 3"]


@pytest.mark.parametrize(("module", "arguments"), COMMANDS, ids=[f"{m}{a}" for m, a in COMMANDS])
def test_every_command_exists_and_knows_its_options(module, arguments, capsys):
    assert module.split(".")[0] in ("pipeline", "model", "dags")
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    options = re.findall(r"--[a-z-]+", arguments)
    assert [option for option in options if not re.search(rf"{option}\b", told)] == []


def test_the_three_commands_of_the_project_are_named():
    assert {"pipeline.ingest", "model.train", "model.extract"} <= {module for module, _ in COMMANDS}


def test_make_targets_that_are_named_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert [target for target in sorted(named) if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_files_that_are_linked_to_exist():
    linked = [target for target in re.findall(r"\]\(([^)#]+)", README) if "://" not in target]
    assert [target for target in linked if not (ROOT / target).exists()] == []
