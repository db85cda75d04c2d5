"""A new Python process for one recording with which a worker has died, with limits of time and memory."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.audio import child_process
from pipeline.audio.deadline import Deadline
from pipeline.cluster import machine
from stores.errors import DecodeError

MIN_DATA_BYTES = 2 << 30
"""Memory that the process may use on a machine with little memory for each CPU."""
MAX_OUTPUT_CHARACTERS = 2_048
"""Length of the end of the process's output that is returned."""


def run(code: str, arguments: Sequence[str], limit_seconds: float, output: Path) -> tuple[int, str]:
    """Run Python code in a new process, and return its exit status and the end of what it printed.

    Args:
        code: the program. It can import what this process can import.
        arguments: words of its command line.
        limit_seconds: wall-clock seconds after which the process is killed.
        output: file for standard output and standard error.

    Raises:
        DecodeError: `timeout`.
    """
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    deadline, limits = Deadline(limit_seconds), {"RLIMIT_DATA": max_data_bytes()}
    with output.open("wb+") as file:
        with child_process.start(command, deadline, limits, stdout=file, stderr=file, env=environment) as process:
            status = process.wait()
        if status == -signal.SIGKILL and not deadline.remaining_seconds:
            raise DecodeError("timeout", f"reading it took longer than {limit_seconds:g} s")
    return status, output.read_text("utf-8", "replace")[-MAX_OUTPUT_CHARACTERS:].strip()


def max_data_bytes() -> int:
    """Return the memory that reading one recording may use: that of a worker if there is one for each CPU."""
    return max(MIN_DATA_BYTES, machine.total_bytes() // machine.usable_cpus())
