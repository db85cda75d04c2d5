"""Processes with a deadline and limited memory, which do not outlive the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.audio import child_process
from pipeline.audio.deadline import Deadline

ROOT = Path(child_process.__file__).parents[2]
# Starts a program that starts another one, prints both process ids, and then hangs.
PARENT = """
import subprocess, sys, time
from pipeline.audio import child_process
from pipeline.audio.deadline import Deadline
script = "sleep 63 & echo $! $$; exec sleep 62"
with child_process.start(["/bin/sh", "-c", script], Deadline(60.0), stdout=subprocess.PIPE) as process:
    print(process.stdout.readline().decode(), flush=True)
    time.sleep(60)
"""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process that runs already")


def _wait_until_gone(pids, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(map(_is_running, pids)):
        time.sleep(0.02)
    return [pid for pid in pids if _is_running(pid)]


def _is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGALRM, signal.SIGSEGV])
def test_children_end_when_their_parent_is_killed(how):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    children = [int(word) for word in parent.stdout.readline().split()]
    assert all(map(_is_running, children))
    parent.send_signal(how)
    parent.communicate()
    assert parent.returncode == -how
    assert _wait_until_gone(children) == []


def test_the_deadline_ends_a_process_and_its_children():
    start = time.monotonic()
    script = "sleep 65 & echo $!; exec sleep 64"
    with child_process.start(["/bin/sh", "-c", script], Deadline(0.5), stdout=subprocess.PIPE) as process:
        child = int(process.stdout.readline())
        assert process.wait() == -signal.SIGKILL
    assert time.monotonic() - start < 10
    assert _wait_until_gone([child]) == []


def test_the_end_of_the_body_ends_a_process():
    with pytest.raises(ZeroDivisionError), child_process.start(["sleep", "66"], Deadline(60.0)) as process:
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL


def test_a_process_that_ends_by_itself_keeps_its_status():
    with child_process.start(["/bin/sh", "-c", "exit 7"], Deadline(60.0)) as process:
        assert process.wait() == 7


@linux_only
def test_memory_over_the_limit_cannot_be_allocated():
    code = "import time; time.sleep(0.3); block = bytearray(300_000_000)"
    limits = {"RLIMIT_DATA": 200_000_000}
    with child_process.start([sys.executable, "-c", code], Deadline(60.0), limits, stderr=subprocess.PIPE) as process:
        _, messages = process.communicate()
    assert process.returncode == 1
    assert b"MemoryError" in messages


def test_a_guard_that_was_killed_is_replaced():
    with child_process.start(["sleep", "67"], Deadline(60.0)) as first:
        guard = child_process._guard._process
        os.kill(guard.pid, signal.SIGKILL)
        guard.wait()
        with child_process.start(["sleep", "68"], Deadline(60.0)) as second:
            assert child_process._guard._process is not guard
            assert child_process._guard._groups == {first.pid, second.pid}
        assert first.poll() is None
    assert child_process._guard._groups == set()
