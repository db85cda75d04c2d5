"""The runs of a sweep on a cluster leave what the steps of a sweep leave."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from dags.workflows import sweep as workflow
from dags.workflows import sweep_on_cluster
from dags.workflows.sweep import SweepPlan
from dags.workflows.sweep_on_cluster import RunOutcome, RunTask
from pipeline.cluster.config import OptionalClusterSettings
from stores.errors import InvalidInput

THREADS = OptionalClusterSettings(scheduler="threads")
WORDS = ("--preset", "tiny", "--batch", "4", "--steps", "6")


def test_each_value_is_one_task_of_all_its_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = SweepPlan(Path("stores/made.zarr"), "masking-ratio", ("0.5", "0.75"), ("made", "other"), "s", WORDS)
    first, second = workflow.run_tasks(plan)
    assert (first.name, second.name, first.folder) == ("s-0_5", "s-0_75", tmp_path)
    assert [words[:2] for words in first.commands] == [
        ("model.train", "--store=stores/made.zarr"),
        *(("model.extract", "made"), ("model.probe", "made"), ("model.extract", "other"), ("model.probe", "other")),
    ]
    assert first.commands[0][-2:] == ("--name", "s-0_5")
    assert all(words[-1] == "runs/s-0_5/encoder.safetensors" for words in first.commands[1:])


def test_commands_run_in_order_until_one_fails(tmp_path):
    (tmp_path / "good.py").write_text("import os, sys; open('log', 'a').write(sys.argv[1] + os.environ['MYNA_HOME'])")
    (tmp_path / "bad.py").write_text("import sys; print('note', file=sys.stderr); sys.exit('error: no room')")
    commands = (("good", "a"), ("good", "b"), ("bad",), ("good", "c"))
    task = RunTask("one", commands, tmp_path, "/home")
    assert sweep_on_cluster.run_commands(task) == RunOutcome("one", "no room")
    assert (tmp_path / "log").read_text() == "a/homeb/home"
    assert sweep_on_cluster.run_commands(RunTask("two", commands[:1], tmp_path, "/home")) == RunOutcome("two")


def test_all_runs_are_tried_and_the_first_that_failed_is_named(monkeypatch, tmp_path):
    def run_commands(task):
        (task.folder / task.name).touch()
        return RunOutcome(task.name, "no room" if task.name != "b" else "")

    monkeypatch.setattr(sweep_on_cluster, "run_commands", run_commands)
    tasks = [RunTask(name, (), tmp_path, "") for name in ("a", "b", "c")]
    with pytest.raises(InvalidInput, match="2 runs of 3 failed, first a: no room; start the same command again"):
        sweep_on_cluster.run(tasks, THREADS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_modules_of_the_commands_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = SweepPlan(Path("stores/made.zarr"), "batch", ("4",), ("made",), "s", WORDS)
    for task in workflow.run_tasks(plan):
        for module, *_ in task.commands:
            assert callable(importlib.import_module(module).main)
