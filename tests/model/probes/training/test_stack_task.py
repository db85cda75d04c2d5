"""Workers of a cluster train the same probes as a search in one process."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import tiny
import torch

from model.probes.task import Task
from model.probes.training import cache, stack_task
from model.probes.training.grid_search import GridSearch
from model.probes.training.stack_task import StackTask
from pipeline.cluster.client import connect
from pipeline.cluster.tasks import run_all

CPU = torch.device("cpu")


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_search_on_a_cluster_has_the_bytes_of_one_in_this_process(tmp_path):
    task, grid = Task.of(tiny.separable(clips=90, noise=0.8), "key"), tiny.grid((0, 8, 16))
    here = GridSearch(CPU, torch.float32, tmp_path / "here").run(task, grid)
    with connect("threads", 1) as client:
        search = GridSearch(CPU, torch.float32, tmp_path / "there", run_tasks=partial(run_all, client))
        there = search.run(task, grid)
    assert there.trained == here.trained
    assert files(tmp_path / "there") == files(tmp_path / "here")
    for ours, theirs in zip(there.probe.weights.tensors, here.probe.weights.tensors, strict=True):
        assert ours.equal(theirs)


def test_stacks_that_are_cached_are_not_sent(tmp_path):
    task, grid = Task.of(tiny.separable(clips=90), "key"), tiny.grid((0, 8))
    GridSearch(CPU, torch.float32, tmp_path).run(task, grid)

    def refuse(_function, tasks):
        raise AssertionError(list(tasks))

    GridSearch(CPU, torch.float32, tmp_path, run_tasks=refuse).run(task, grid)


def test_a_worker_never_sees_test_clips_and_the_file_of_clips_is_removed(tmp_path):
    task = Task.of(tiny.separable(clips=90), "key")
    with stack_task.clips_file(tmp_path, cache.task_digest(task), task) as path, np.load(path) as arrays:
        assert {name.partition(".")[0] for name in arrays.files} == {"about", "train", "valid"}
        assert json.loads(str(arrays["about"]))["kind"] == "classes"
    assert list(tmp_path.iterdir()) == []


def test_the_number_of_threads_is_restored(tmp_path):
    task, grid = Task.of(tiny.separable(clips=90), "key"), tiny.grid((0,))
    threads = torch.get_num_threads()
    with stack_task.clips_file(tmp_path, "d", task) as path:
        assert stack_task.train(StackTask(path, grid.configs, grid, "float32", tmp_path, "k")) == 1
    assert torch.get_num_threads() == threads
    assert cache.read(tmp_path, "k", grid.configs) is not None


@pytest.mark.slow
def test_processes_train_the_same_probes(tmp_path):
    task, grid = Task.of(tiny.separable(clips=90, noise=0.8), "key"), tiny.grid((0, 8, 16))
    here = GridSearch(CPU, torch.float32, tmp_path / "here").run(task, grid)
    with connect("processes", 2, single_thread=True) as client:
        search = GridSearch(CPU, torch.float32, tmp_path / "there", run_tasks=partial(run_all, client))
        assert search.run(task, grid).trained == here.trained
    assert files(tmp_path / "there") == files(tmp_path / "here")
