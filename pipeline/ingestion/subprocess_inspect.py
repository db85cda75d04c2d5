"""Inspection of one recording in its own process, after workers have died while they inspected recordings."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from pipeline.audio import source
from pipeline.audio.inspect import bound_seconds
from pipeline.audio.remote import AudioPath, audio_path
from pipeline.ingestion import python_process
from stores.errors import DecodeError

GRACE_SECONDS = 30.0
"""Seconds beyond the limit of inspection, for starting and for reading from a container."""
_CHILD_CODE = "from pipeline.ingestion import subprocess_inspect; subprocess_inspect.run_child()"


def read_seconds(path: AudioPath, member: str, timeout_seconds: float) -> float:
    """Return an upper bound of the length of a recording in seconds, or 0 if the process fails.

    The task that decodes the recording will fail for the same reason, and record it.

    Args:
        path: the file.
        member: its member, or empty text.
        timeout_seconds: time limit of the programs that inspect the file.
    """
    with tempfile.TemporaryDirectory(prefix="myna-") as name:
        arguments = [os.fspath(path) if isinstance(path, Path) else str(path), member, str(timeout_seconds)]
        try:
            status, output = python_process.run(
                _CHILD_CODE, arguments, timeout_seconds + GRACE_SECONDS, Path(name) / "output"
            )
            return 0.0 if status else float(output.splitlines()[-1])
        except (DecodeError, ValueError, IndexError):
            return 0.0


def run_child() -> None:
    """Inspect one recording in the new process, and print its seconds."""
    path, member, timeout_seconds = sys.argv[1:]
    with source.open_audio(audio_path(path), member) as file:
        print(bound_seconds(file, float(timeout_seconds)))
