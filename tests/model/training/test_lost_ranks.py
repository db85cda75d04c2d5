"""Ranks of torchrun that are killed, frozen or slow: the others end within a stated time, or go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch.distributed as dist

from model.training import checkpoint, ranks

TIMEOUT_SECONDS = 6
TORCHRUN_KILL_SECONDS = 30
"""Time after which torchrun kills ranks that do not end by SIGTERM, such as frozen ones."""
ROOT = Path(ranks.__file__).parents[2]


class Launcher:
    """Runs of torchrun over a small store."""

    def __init__(self, folder):
        self.folder, self.run = folder, folder / "runs" / "run"
        self.running = []

    def start(self, count, steps, *options):
        """Start a training with `count` ranks."""
        words = ["--store", "stores/made.zarr", "--preset", "tiny", "--batch", "8", "--steps", str(steps)]
        words += ["--name", "run", "--checkpoint-every", "3", "--log-every", "1", "--projection-width", "8"]
        words += ["--rank-timeout-seconds", str(TIMEOUT_SECONDS), "--optimizer", "sgd", "--precision", "fp32"]
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # see docs/scale.md
        output = (self.folder / f"output-{len(self.running)}.txt").open("w+")
        process = subprocess.Popen(
            [*launcher, "-m", "model.train", *words], cwd=self.folder, env=environment, stdout=output, stderr=output
        )
        self.running.append((process, output))
        return process

    def output(self):
        """Return what the last process has printed."""
        return Path(self.running[-1][1].name).read_text()

    def newest_step(self):
        """Return the step of the newest checkpoint, or 0."""
        newest = checkpoint.newest(self.run)
        return 0 if newest is None else int(newest.stem.rpartition("-")[2])

    def wait_for_checkpoint(self, process, after=0):
        """Wait for a checkpoint of a later step than `after`, and return its step."""
        for _ in range(1_200):
            if (step := self.newest_step()) > after:
                return step
            assert process.poll() is None, self.output()
            time.sleep(0.1)
        raise AssertionError(self.output())

    def rank(self, process, number):
        """Return the process of a rank."""
        children = psutil.Process(process.pid).children()
        return next(child for child in children if child.environ().get("RANK") == str(number))

    def end(self):
        """End everything that still runs."""
        for process, output in self.running:
            if process.poll() is None:
                for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                    each.kill()
            process.wait()
            output.close()


@pytest.fixture
def launcher(tmp_path, make_store):
    make_store([96, 120, 150, 200, 96, 300, 110, 101, 99, 130], "stores/made.zarr")
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.end()


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSTOP])
def test_a_killed_or_frozen_rank_ends_the_run_in_time_and_other_ranks_go_on(launcher, count, kind):
    process = launcher.start(count, 100_000)
    launcher.wait_for_checkpoint(process)
    start = time.monotonic()
    launcher.rank(process, count - 1).send_signal(kind)
    assert process.wait(TIMEOUT_SECONDS + TORCHRUN_KILL_SECONDS + 20) != 0
    assert time.monotonic() - start < TIMEOUT_SECONDS + TORCHRUN_KILL_SECONDS + 15
    if kind == signal.SIGSTOP:
        assert f"waited for it for {TIMEOUT_SECONDS} s (--rank-timeout-seconds)" in launcher.output()
    other = launcher.start(2 if count == 4 else 4, 100_000)
    launcher.wait_for_checkpoint(other, launcher.newest_step())


@pytest.mark.slow
def test_a_rank_that_is_slow_for_less_than_the_limit_holds_the_others_up_and_no_more(launcher):
    process = launcher.start(2, 100_000)
    step = launcher.wait_for_checkpoint(process)
    frozen = launcher.rank(process, 1)
    frozen.suspend()
    time.sleep(TIMEOUT_SECONDS / 2)
    frozen.resume()
    launcher.wait_for_checkpoint(process, step + 3)
    assert process.poll() is None


@pytest.mark.slow
def test_torchrun_restarts_all_ranks_from_the_newest_checkpoint_after_a_kill(launcher):
    process = launcher.start(2, 60, "--standalone", "--max-restarts", "3")
    launcher.wait_for_checkpoint(process)
    launcher.rank(process, 1).kill()
    assert process.wait(180) == 0, launcher.output()
    assert launcher.output().count("finished after 60 steps") == 1


def test_an_error_that_is_not_of_ranks_is_not_translated(monkeypatch):
    monkeypatch.setattr(ranks, "is_single_process", lambda: False)
    monkeypatch.setattr(ranks.distributed_c10d, "_set_pg_timeout", lambda _: None)
    with pytest.raises(RuntimeError, match="shapes"), ranks.step_timeout(5):
        raise RuntimeError("shapes cannot be multiplied")
    with pytest.raises(ranks.RanksLost, match=r"5 s \(--rank-timeout-seconds"), ranks.step_timeout(5):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1234")
    with pytest.raises(ranks.RanksLost), ranks.step_timeout(5):
        raise dist.DistBackendError("NCCL communicator was aborted")


def test_a_single_process_waits_for_nobody():
    with ranks.step_timeout(0.001):
        pass
