"""Scripts without a main guard: the processes of a command do not import them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import stores

ROOT = Path(stores.__file__).parents[1]
DEFINITION = """
import multiprocessing, sys
from dataclasses import dataclass
from stores.command_line import CommandSettings, run_command

@dataclass(frozen=True, kw_only=True)
class Settings(CommandSettings):
    '''Do something.'''

def body(settings):
    process = multiprocessing.get_context("spawn").Process(target=print, args=("the process runs",))
    process.start()
    process.join()
    print("the status is", process.exitcode, flush=True)

print("the script runs", flush=True)
"""


def _run(folder, script):
    (folder / "script.py").write_text(script)
    command = [sys.executable, str(folder / "script.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def test_processes_of_a_command_do_not_import_the_script(tmp_path):
    done = _run(tmp_path, f"{DEFINITION}sys.exit(run_command(Settings, [], 'some.command', body))")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the script runs\nthe process runs\nthe status is 0\n"


def test_other_processes_that_import_the_script_end_with_one_line(tmp_path):
    done = _run(tmp_path, f"{DEFINITION}run_command(Settings, [], 'some.command', lambda _: None)\nbody(None)\n")
    assert done.stdout == "the script runs\nthe script runs\nthe status is 2\n"
    assert done.stderr.startswith("error: a new process imports the script, which calls some.command again; put ")
    assert len(done.stderr.splitlines()) == 1
