"""Processes that read untrusted files: each has a deadline and limited memory, and none outlives this process.

A process that is killed cannot end its children. So another process, the guard, holds the end of a pipe that the system
closes when this process ends for any reason, and then kills the process groups that are still running. The guard is
started with the first child. `PR_SET_PDEATHSIG` would need code between fork and exec, which is not safe in a process
with threads.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.audio.deadline import Deadline

FFMPEG_LIMITS = {"RLIMIT_DATA": 1 << 30, "RLIMIT_AS": 4 << 30, "RLIMIT_FSIZE": 1 << 26}
"""Limits of an ffmpeg process in bytes: writable memory, address space, and the file with its messages.

With two threads, ffmpeg writes to 0.1 GB and reserves 0.8 GB. With 64 threads, it writes to 0.6 GB and reserves 1.8 GB.
"""
_GUARD_CODE = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


@contextlib.contextmanager
def start(
    command: Sequence[str], deadline: Deadline, limits: Mapping[str, int] = FFMPEG_LIMITS, **streams: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a new process, and end it with all its children at the deadline or at the end of the body.

    Args:
        command: the words of the command.
        deadline: time limit, after which the process group is killed.
        limits: resources by their names in the module `resource`. Memory over the limit cannot be allocated, which most
            programs report as an error.
        streams: `stdout`, `stderr`, `env` and the like for `subprocess.Popen`. Standard input is empty.
    """
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **streams)
    timer = threading.Timer(deadline.remaining_seconds, kill, [process])
    try:
        _guard.add(process.pid)
        _limit(process.pid, limits)
        timer.start()
        yield process
    finally:
        timer.cancel()
        kill(process)
        if process.stdout is not None:
            process.stdout.close()
        _guard.remove(process.pid)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, and wait for it. A process that has ended already is left alone."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # another thread was faster
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _limit(pid: int, limits: Mapping[str, int]) -> None:
    """Limit a process that runs already. Only Linux can do this, and other systems have no limit."""
    if not hasattr(resource, "prlimit"):
        return
    with contextlib.suppress(ProcessLookupError):  # it has ended
        for name, value in limits.items():
            resource.prlimit(pid, getattr(resource, name), (value, value))


class _Guard:
    """The process that kills process groups when this process ends. All threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()

    def add(self, group: int) -> None:
        """Kill the process group `group` if this process ends."""
        with self._lock:
            self._groups.add(group)
            self._send(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Leave the process group `group` alone, because it has ended."""
        with self._lock:
            self._groups.discard(group)
            self._send(f"-{group}\n")

    def stop(self) -> None:
        """End the guard, which kills the groups that are left."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    def _send(self, line: str) -> None:
        process = self._process or self._start()
        try:
            process.stdin.write(line.encode())  # type: ignore[union-attr]
        except BrokenPipeError:  # somebody has killed the guard
            self.stop()
            self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the guard, and tell it all groups."""
        null = subprocess.DEVNULL
        command = [sys.executable, "-I", "-S", "-c", _GUARD_CODE]
        self._process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True, cwd="/"
        )
        self._process.stdin.write("".join(f"+{group}\n" for group in self._groups).encode())  # type: ignore[union-attr]
        return self._process


_guard = _Guard()
atexit.register(_guard.stop)
