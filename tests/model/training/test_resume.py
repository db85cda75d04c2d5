"""2k steps are k, a kill, and k again, bit for bit: clips, windows, masks, weights, moments, what is remembered.

14 clips in batches of 4 are 3 steps an epoch, and a checkpoint is made every 2 steps: a kill in step 4 goes back to 4
(the middle of an epoch), one in step 7 to 6 (a boundary).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file

from model.encoder.masking import POLICIES, UniformMasking
from model.training import best, checkpoint
from model.training.loop import LoggingConfig, Run
from model.training.prefetch import Prefetch
from stores.quantize import Quantizer

WORKERS = pytest.mark.parametrize("workers", [0, 2])
PACE = LoggingConfig(log_every=1, checkpoint_every=2, keep=99)
STEPS = 8


class Killed(Exception):
    """What a kill is to a run in this process: nothing of it comes after."""


class Recorder:
    """A stream and a masking policy that write down what a run was given, step by step."""

    def __init__(self, stream, kill_in=None):
        self.stream, self.kill_in, self.given, self.masking = stream, kill_in, {}, UniformMasking()

    def batch(self, step):
        batch = self.stream.batch(step)
        self.now = self.given[step] = {"ids": batch.indices, "windows": batch.windows(96), "epoch": batch.epoch}
        return batch

    def visible_patches(self, *arguments):
        drawn = self.masking.visible_patches(*arguments)
        self.now[f"mask {len(self.now)}"] = drawn
        if self.kill_in is not None and max(self.given) == self.kill_in:
            raise Killed
        return drawn


def _train(folder, config, workers, monkeypatch, kill_in=None):
    """What the run was given until it ended, or was killed."""
    folder.mkdir(exist_ok=True)
    run = Run(folder, config, Quantizer(), torch.device("cpu"))
    with contextlib.closing(Prefetch(tiny.stream(config), torch.device("cpu"), 96, workers, config.steps)) as stream:
        recorder = Recorder(stream, kill_in)
        monkeypatch.setitem(POLICIES, "uniform", recorder)
        with contextlib.nullcontext() if kill_in is None else pytest.raises(Killed):
            run.train(recorder, PACE)
    return recorder.given


def _assert_given_the_same(some, others):
    for step, given in some.items():
        assert given.keys() == others[step].keys()
        for name, one in given.items():
            assert torch.equal(torch.as_tensor(one), torch.as_tensor(others[step][name])), (step, name)


def _assert_left_the_same(folder, other):
    names = {path.name for path in other.iterdir()}
    assert {path.name for path in folder.iterdir()} == names
    assert {checkpoint.path_of(other, step).name for step in (2, 4, 6, 8)} < names
    for name in names - {"metrics.jsonl"}:
        assert checkpoint.read_header(folder / name) == checkpoint.read_header(other / name)
        ours, theirs = load_file(folder / name), load_file(other / name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name


@WORKERS
@pytest.mark.parametrize(("kill_in", "back_to"), [(1, 0), (3, 2), (4, 4), (7, 6)])
@pytest.mark.parametrize("objective", ["infonce", "isogclr"])
def test_a_killed_run_is_given_and_leaves_what_one_that_was_not_is(
    tmp_path, monkeypatch, workers, kill_in, back_to, objective
):
    config = tiny.train_config(
        "hybrid", steps=STEPS, objective=tiny.objective_config(objective), schedule="cosine", clip_gradient_norm=1.0
    )
    whole = _train(tmp_path / "whole", config, workers, monkeypatch)
    before = _train(tmp_path / "parts", config, workers, monkeypatch, kill_in)
    after = _train(tmp_path / "parts", config, workers, monkeypatch)
    assert (list(before), list(after)) == ([*range(kill_in + 1)], [*range(back_to, STEPS)])
    assert all({"ids", "windows", "epoch", "mask 3"} <= set(given) for given in whole.values())
    _assert_given_the_same(after, whole)
    _assert_given_the_same({step: before[step] for step in range(kill_in)}, whole)
    _assert_left_the_same(tmp_path / "parts", tmp_path / "whole")


SCRIPT = """
import os, signal, sys
import tiny, torch
from model.training import checkpoint
from model.training.loop import Pace, Run
from model.training.prefetch import Prefetch
from stores.quantize import Quantizer

folder, where = sys.argv[1:]
stream, save_file = tiny.stream(config := tiny.train_config("hybrid")), checkpoint.save_file

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def half_saved(tensors, path, metadata):
    save_file(tensors, path, metadata)
    if "checkpoint-00000004" in str(path):
        os.truncate(path, os.path.getsize(path) // 2)
        kill()

class Deadly:
    def batch(self, step):
        return kill() if where == "step" and step == 5 else stream.batch(step)

if where == "save":
    checkpoint.save_file = half_saved
os.makedirs(folder, exist_ok=True)
run = Run(__import__("pathlib").Path(folder), config, Quantizer(), torch.device("cpu"))
run.train(Deadly(), Pace(log_every=1, checkpoint_every=2, keep=99))
"""


@pytest.mark.slow
def test_a_process_killed_in_a_save_and_then_in_a_step_ends_as_one_that_was_not(tmp_path):
    root = Path(__file__).parents[3]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")]),
    }

    def train(name, where):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / name), where]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    assert train("whole", "") == 0
    assert train("parts", "save") == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "parts").glob(".checkpoint-00000004*")]
    assert checkpoint.newest(tmp_path / "parts") == checkpoint.path_of(tmp_path / "parts", 2)
    assert train("parts", "step") == -signal.SIGKILL
    assert checkpoint.newest(tmp_path / "parts") == checkpoint.path_of(tmp_path / "parts", 4)
    assert train("parts", "") == 0
    _assert_left_the_same(tmp_path / "parts", tmp_path / "whole")
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(8))
    assert (tmp_path / "parts" / best.NAME).is_file()
