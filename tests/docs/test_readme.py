"""The README is correct: its examples run, and its commands, options, make targets and linked files exist."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import synthetic_audio
import synthetic_songs
import tiny
from doc_examples import MARKER, TYPED, python_blocks

from model.encoder.config import preset

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "docs" / "results.md").read_text("utf-8")
BLOCKS = python_blocks(README)
COMMANDS = [(module, arguments) for module, arguments in TYPED.findall(README) if module != "pip"]


@pytest.fixture
def demo_folder(tmp_path, monkeypatch, make_store):
    """Work in a folder like the one that `make demo` leaves, with random clips and weights."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    make_store([313, 300], "stores/demo.zarr")
    config = replace(tiny.train_config(), encoder=preset("tiny"))
    tiny.write_run(tmp_path / "runs" / "demo-tiny-0", config)
    synthetic_audio.write(tmp_path / "song.mp3", synthetic_audio.chords(10, 44_100), 44_100)


def test_every_python_example_has_a_marker():
    assert len(BLOCKS) == README.count(MARKER) >= 1
    assert len(re.findall(r"^\s*(?:>>> |import \w)", README, re.MULTILINE)) == sum(
        len(re.findall(r"^import \w", block, re.MULTILINE)) for block in BLOCKS
    ), "a Python example without a marker is not tested"


@pytest.mark.parametrize("source", BLOCKS, ids=range(len(BLOCKS)))
@pytest.mark.usefixtures("demo_folder")
def test_every_python_example_runs_and_has_the_shapes_of_its_comments(source):
    namespace = {}
    exec(compile(source, "README.md", "exec"), namespace)
    for name, shape in re.findall(r"^\s*(\w+) = .*# .*\[([\d, ]+)\]$", source, re.MULTILINE):
        assert list(namespace[name].shape) == [int(size) for size in shape.split(",")], name


def test_fenced_and_indented_blocks_are_found():
    text = f"a\n{MARKER}\n```python\nx = 1\n```\nb\n\n{MARKER}\n\n    y = 2\n\n    z = 3\n\nc\n"
    assert [block.strip() for block in python_blocks(text)] == ["x = 1", "y = 2\n\nz = 3"]


@pytest.mark.parametrize(("module", "arguments"), COMMANDS, ids=[f"{m}{a}" for m, a in COMMANDS])
def test_every_command_exists_and_accepts_its_options(module, arguments, capsys):
    assert module.split(".")[0] in ("pipeline", "model", "dags")
    with pytest.raises(SystemExit) as exit_info:
        importlib.import_module(module).main(["--help"])
    assert exit_info.value.code == 0
    help_text = capsys.readouterr().out
    options = re.findall(r"--[a-z-]+", arguments)
    assert [option for option in options if not re.search(rf"{option}\b", help_text)] == []


def test_the_three_main_commands_are_named():
    assert {"pipeline.ingest", "model.train", "model.extract"} <= {module for module, _ in COMMANDS}


def test_named_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert [target for target in sorted(named) if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_linked_files_exist():
    linked = [target for target in re.findall(r"\]\(([^)#]+)", README) if "://" not in target]
    assert [target for target in linked if not (ROOT / target).exists()] == []


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "pictures").iterdir()), ids=lambda path: path.name)
def test_pictures_are_small_and_shown(picture):
    assert picture.stat().st_size < 300_000
    assert f"](docs/pictures/{picture.name})" in README or f"](pictures/{picture.name})" in RESULTS


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stranger_who_reads_only_the_readme_explores_and_trains(tmp_path):
    """The commands of two of the three paths, with fewer steps; the third is in tests/end_to_end."""
    names = {0: "0ad-data/Beyond_The_Indus.ogg"}
    paths = synthetic_songs.write(tmp_path / "music", 68, lambda song: names.get(song, synthetic_songs.name(song)))
    synthetic_songs.write_labels(tmp_path / "labels.csv", paths)
    sections = README.split("## Explore your music")[1].split("## Evaluate")[0]
    commands = re.findall(r"^    \$ python (-m .*)$", sections, re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        words = shlex.split(command.replace("--steps 300", "--steps 5"))
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert {path.name for path in (tmp_path / "reports").glob("*.html")} == {"music.html", "trained.html"}
    assert (tmp_path / "music.parquet").is_file()
