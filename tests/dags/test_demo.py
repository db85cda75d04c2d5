"""The graph of `dags.demo`: which commands, in which order, with what they are told."""

from __future__ import annotations

from dags import demo
from model import extract, probe, report, train
from pipeline import ingest, shard
from stores.errors import InvalidInput

CHAIN = demo.steps(clips=600, train_steps=20, seed=3, batch=128)


def test_the_chain_is_the_commands_in_order():
    assert [step.name for step in CHAIN] == ["ingest", "shard", "train", "extract", "probe", "report"]
    mains = [module.main for module in (ingest, shard, train, extract, probe, report)]
    assert [step.main for step in CHAIN] == mains


def test_every_step_waits_for_one_before_it():
    names = [step.name for step in CHAIN]
    for place, step in enumerate(CHAIN[1:], 1):
        assert step.after
        assert set(step.after) <= set(names[:place])


def test_every_step_is_told_what_its_command_understands(monkeypatch):
    """Each command parses its arguments, and is stopped before it does anything."""
    for module in (ingest, shard, train, extract, probe, report):
        monkeypatch.setattr(module, "exit_status", lambda _: 0)
    assert [step.main(step.arguments) for step in CHAIN] == [0] * 6


def test_clips_steps_batch_and_seed_reach_the_commands():
    told = {step.name: " ".join(step.arguments) for step in CHAIN}
    assert told["ingest"] == "demo --clips 600"
    assert "--steps 20 --seed 3" in told["train"]
    assert "--batch 128 " in told["train"]
    assert "--name demo-tiny-3" in told["train"]
    assert told["extract"] == "demo --checkpoint runs/demo-tiny-3/encoder.safetensors"
    assert told["probe"] == f"{told['extract']} --grid quick"
    assert told["report"] == "demo --run demo-tiny-3"


def test_one_flag_asks_for_the_papers_grid():
    chain = {step.name: step.arguments for step in demo.steps(clips=600, train_steps=20, seed=3, grid="full")}
    assert chain["probe"][-2:] == ("--grid", "full")


def test_drawing_prints_the_graph_and_runs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert demo.main(["--draw"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "flowchart LR"
    arrows = {line.strip() for line in lines[1:]}
    chain = {"ingest --> shard", "shard --> train", "train --> extract", "extract --> probe", "probe --> report"}
    assert chain <= arrows
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_ends_the_command_with_its_error(monkeypatch, capsys):
    def refuse():
        raise InvalidInput("made to fail")

    monkeypatch.setattr(ingest, "_ingest", lambda _: refuse())
    assert demo.main([]) == 2
    told = capsys.readouterr().err
    assert "error: made to fail" in told
    assert "error: step 'ingest' ended with status 2" in told
