"""A run that is killed and resumed equals an uninterrupted run bit for bit, in its inputs and in its files.

This covers clips, windows, masks, weights, moments and the objective's memory. 14 clips in batches of 4 give 3 steps
per epoch, and a checkpoint is written every 2 steps. A run killed in step 4 resumes at step 4, in the middle of an
epoch. A run killed in step 7 resumes at step 6, at a boundary.
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
from model.training.batch_prefetch import Prefetch
from model.training.config import LoggingConfig
from model.training.loop import Run
from stores.quantize import Quantizer

WORKERS = pytest.mark.parametrize("workers", [0, 2])
LOGGING = LoggingConfig(log_every=1, checkpoint_every=2, keep=99)
STEPS = 8


class Killed(Exception):
    """The end of a run in this process, as by a kill: the run can do nothing after it."""


class Recorder:
    """A stream and a masking policy that record the inputs of each step."""

    def __init__(self, stream, kill_in=None):
        self.stream, self.kill_in, self.inputs, self.masking = stream, kill_in, {}, UniformMasking()

    def batch(self, step):
        batch = self.stream.batch(step)
        self.current = {"ids": batch.indices, "windows": batch.windows(96), "epoch": batch.epoch}
        self.inputs[step] = self.current
        return batch

    def visible_patches(self, *arguments):
        visible = self.masking.visible_patches(*arguments)
        self.current[f"mask {len(self.current)}"] = visible
        if self.kill_in is not None and max(self.inputs) == self.kill_in:
            raise Killed
        return visible


def _train(folder, config, workers, monkeypatch, kill_in=None):
    """Train until the run is finished or killed in step `kill_in`; return the inputs of each step."""
    folder.mkdir(exist_ok=True)
    run = Run(folder, config, Quantizer(), torch.device("cpu"))
    with contextlib.closing(Prefetch(tiny.stream(config), torch.device("cpu"), 96, workers, config.steps)) as stream:
        recorder = Recorder(stream, kill_in)
        monkeypatch.setitem(POLICIES, "uniform", recorder)
        with contextlib.nullcontext() if kill_in is None else pytest.raises(Killed):
            run.train(recorder, LOGGING)
    return recorder.inputs


def _assert_same_inputs(steps, expected):
    for step, inputs in steps.items():
        assert inputs.keys() == expected[step].keys()
        for name, value in inputs.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(expected[step][name])), (step, name)


def _assert_same_files(folder, expected):
    names = {path.name for path in expected.iterdir()}
    assert {path.name for path in folder.iterdir()} == names
    assert {checkpoint.path_of(expected, step).name for step in (2, 4, 6, 8)} < names
    for name in names - {"metrics.jsonl"}:
        tensors, expected_tensors = load_file(folder / name), load_file(expected / name)
        assert all(torch.equal(tensors[key], expected_tensors[key]) for key in expected_tensors), name
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name


@WORKERS
@pytest.mark.parametrize(("kill_in", "resumed_at"), [(1, 0), (3, 2), (4, 4), (7, 6)])
@pytest.mark.parametrize("objective", ["infonce", "isogclr"])
def test_a_killed_run_has_the_inputs_and_files_of_an_uninterrupted_run(
    tmp_path, monkeypatch, workers, kill_in, resumed_at, objective
):
    config = tiny.train_config(
        "hybrid", steps=STEPS, objective=tiny.objective_config(objective), schedule="cosine", clip_gradient_norm=1.0
    )
    whole = _train(tmp_path / "whole", config, workers, monkeypatch)
    before = _train(tmp_path / "parts", config, workers, monkeypatch, kill_in)
    after = _train(tmp_path / "parts", config, workers, monkeypatch)
    assert (list(before), list(after)) == ([*range(kill_in + 1)], [*range(resumed_at, STEPS)])
    assert all({"ids", "windows", "epoch", "mask 3"} <= set(inputs) for inputs in whole.values())
    _assert_same_inputs(after, whole)
    _assert_same_inputs({step: before[step] for step in range(kill_in)}, whole)
    _assert_same_files(tmp_path / "parts", tmp_path / "whole")


SCRIPT = """
import os, signal, sys
import tiny, torch
from model.training import checkpoint
from model.training.config import LoggingConfig
from model.training.loop import Run
from model.training.batch_prefetch import Prefetch
from stores.quantize import Quantizer

folder, killed_in = sys.argv[1:]
stream, save_file = tiny.stream(config := tiny.train_config("hybrid")), checkpoint.save_file

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def save_half(tensors, path, metadata):
    save_file(tensors, path, metadata)
    if "checkpoint-00000004" in str(path):
        os.truncate(path, os.path.getsize(path) // 2)
        kill()

class KilledStream:
    def batch(self, step):
        return kill() if killed_in == "step" and step == 5 else stream.batch(step)

if killed_in == "save":
    checkpoint.save_file = save_half
os.makedirs(folder, exist_ok=True)
run = Run(__import__("pathlib").Path(folder), config, Quantizer(), torch.device("cpu"))
run.train(KilledStream(), LoggingConfig(log_every=1, checkpoint_every=2, keep=99))
"""


@pytest.mark.slow
def test_a_process_killed_while_saving_and_in_a_step_ends_like_an_uninterrupted_one(tmp_path):
    root = Path(__file__).parents[3]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests" / "support")]),
    }

    def train(name, killed_in):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / name), killed_in]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    assert train("whole", "") == 0
    assert train("parts", "save") == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "parts").glob(".checkpoint-00000004*")]
    assert checkpoint.newest(tmp_path / "parts") == checkpoint.path_of(tmp_path / "parts", 2)
    assert train("parts", "step") == -signal.SIGKILL
    assert checkpoint.newest(tmp_path / "parts") == checkpoint.path_of(tmp_path / "parts", 4)
    assert train("parts", "") == 0
    _assert_same_files(tmp_path / "parts", tmp_path / "whole")
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(8))
    assert (tmp_path / "parts" / best.NAME).is_file()
