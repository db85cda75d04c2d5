"""The graph of `dags.demo`: the commands, their order, and their arguments."""

from __future__ import annotations

from dags import demo as command
from dags.config import DemoSettings
from dags.workflows import demo
from model import extract, probe, report, train
from pipeline import ingest, shard
from pipeline.ingestion import ingest as ingestion
from stores.command_line import parse
from stores.errors import InvalidInput

CHAIN = demo.steps(DemoSettings(clips=600, train_steps=20, seed=3, batch=128))


def test_the_chain_is_the_commands_in_order():
    names = ["ingest", "shard", "train", "extract", "extract-shipped", "probe", "report"]
    assert [step.name for step in CHAIN] == names
    mains = [module.main for module in (ingest, shard, train, extract, extract, probe, report)]
    assert [step.main for step in CHAIN] == mains


def test_every_step_waits_for_one_before_it():
    names = [step.name for step in CHAIN]
    for place, step in enumerate(CHAIN[1:], 1):
        assert step.after
        assert set(step.after) <= set(names[:place])


def test_every_command_accepts_its_arguments(monkeypatch):
    """Each command parses its arguments, and is stopped before it does anything."""
    for module in (ingest, shard, train, extract, probe, report):
        monkeypatch.setattr(module, "run_command", lambda kind, words, name, *_: parse(kind, words, name) and 0)
    assert [step.main(step.arguments) for step in CHAIN] == [0] * 7


def test_clips_steps_batch_and_seed_reach_the_commands():
    words = {step.name: " ".join(step.arguments) for step in CHAIN}
    assert words["ingest"] == "demo --clips 600"
    assert "--steps 20 --seed 3" in words["train"]
    assert "--batch 128 " in words["train"]
    assert "--name demo-tiny-3" in words["train"]
    assert words["extract"] == "demo --checkpoint runs/demo-tiny-3/encoder.safetensors"
    assert words["extract-shipped"] == "demo --checkpoint myna-tiny-open --out stores/demo.shipped.features.zarr"
    assert words["probe"] == f"{words['extract']} --grid quick --features stores/demo.shipped.features.zarr"
    assert words["report"] == "demo --run demo-tiny-3"


def test_one_flag_selects_the_grid_of_the_paper():
    chain = {step.name: step.arguments for step in demo.steps(DemoSettings(grid="full"))}
    assert " ".join(chain["probe"]).count("--grid full") == 1


def test_drawing_prints_the_graph_and_runs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.main(["--draw"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "flowchart LR"
    arrows = {line.strip() for line in lines[1:]}
    chain = {"ingest --> shard", "shard --> train", "train --> extract", "extract --> probe", "probe --> report"}
    assert chain <= arrows
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_ends_the_command_with_its_error(monkeypatch, capsys):
    def fail(settings):
        raise InvalidInput("made to fail")

    monkeypatch.setattr(ingestion, "ingest", fail)
    assert command.main([]) == 2
    message = capsys.readouterr().err
    assert "error: made to fail" in message
    assert "error: step 'ingest' ended with status 2" in message
