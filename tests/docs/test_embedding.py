"""The Python example of docs/embedding.md runs, and its commands, options and engines exist."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_audio
import tiny
from doc_examples import MARKER, TYPED, python_blocks

from model.encoder.config import preset
from model.inference.engines.auto import RULES
from model.inference.engines.engine import ENGINES

DOC = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text()
COMMANDS = sorted(set(TYPED.findall(DOC)))


def test_the_python_example_gives_the_shapes_in_its_comments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    synthetic_audio.write(tmp_path / "song.mp3", synthetic_audio.chords(10, 44_100), 44_100)
    tiny.write_run(tmp_path / "runs" / "demo-tiny-0", replace(tiny.train_config(), encoder=preset("tiny")))
    (source,) = python_blocks(DOC)
    assert DOC.count(MARKER) == 1
    assert len([line for line in source.splitlines() if line.strip()]) <= 10
    namespace = {}
    exec(compile(source, "docs/embedding.md", "exec"), namespace)
    comments = re.findall(r"^(\w+) = .*# .*?\[([\d, ]+)\]", source, re.MULTILINE)
    assert [name for name, _ in comments] == ["embedding", "windows", "noise"]
    for name, shape in comments:
        assert list(namespace[name].shape) == [int(size) for size in shape.split(",")], name
    assert namespace["embedding"].dtype == np.float32
    assert (tmp_path / "my-myna" / "model.safetensors").is_file()


@pytest.mark.parametrize(("module", "arguments"), COMMANDS, ids=[f"{m}{a}" for m, a in COMMANDS])
def test_every_command_exists_and_knows_its_options(module, arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert [option for option in re.findall(r"--[a-z-]+", arguments) if not re.search(rf"{option}\b", printed)] == []


def test_the_table_has_a_row_for_every_engine():
    rows = re.findall(r"^\| `([a-z-]+)`", DOC, re.MULTILINE)
    assert rows == list(ENGINES)


def test_the_order_of_automatic_selection_is_documented():
    orders = re.search(
        r"can\s+run\s+here:\s+on\s+a\s+GPU\s+(.*?);\s+on\s+a\s+CPU\s+with\s+bf16\s+(.*?);\s+without\s+bf16\s+(.*?)\.",
        DOC,
        re.DOTALL,
    )
    for words, machine in zip(orders.groups(), ((True, "bf16"), (False, "bf16"), (False, "fp32")), strict=True):
        rows = [rule.engine for rule in RULES if (rule.gpu, rule.precision) == machine]
        assert re.findall(r"`([a-z-]+)`", words) == rows
