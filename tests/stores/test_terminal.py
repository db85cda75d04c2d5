"""Output that neither an encoding nor a closed pipe can break, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stores

ROOT = Path(stores.__file__).parents[1]
COMMAND = r"""
import sys
from dataclasses import dataclass
from pathlib import Path
from stores.command_line import CommandSettings, run_command

@dataclass(frozen=True, kw_only=True)
class Settings(CommandSettings):
    '''Print names.'''

def body(settings):
    for number in range(20_000):
        print(f"line {number} \u97f3\u697d \udce9", flush=number < 3)
        print(f"warning {number} \xfc", file=sys.stderr)
    Path(sys.argv[1]).write_text("finished")

sys.exit(run_command(Settings, [], "some.command", body))
"""


def _start(tmp_path, environment=None, redirection="", **streams):
    (tmp_path / "command.py").write_text(COMMAND)
    command = f"exec {sys.executable} {tmp_path}/command.py {tmp_path}/done {redirection}"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    return subprocess.Popen(["/bin/sh", "-c", command], env=variables, **streams)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_characters_that_the_encoding_lacks_are_escaped(tmp_path, encoding):
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = _start(tmp_path, {"PYTHONIOENCODING": encoding}, **streams)
    output, messages = process.communicate(timeout=60)
    assert process.returncode == 0, messages
    name = "音楽" if encoding == "utf-8" else r"\u97f3\u697d"
    assert output.decode(encoding).splitlines()[-1] == rf"line 19999 {name} \udce9"
    umlaut = r"\xfc" if encoding == "ascii" else "ü"
    assert messages.decode(encoding).splitlines()[-1] == f"warning 19999 {umlaut}"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_stops_neither_stops_the_command_nor_changes_its_status(tmp_path, stream):
    other = "stderr" if stream == "stdout" else "stdout"
    with (tmp_path / "other").open("wb") as file:
        process = _start(tmp_path, **{stream: subprocess.PIPE, other: file})
        pipe = getattr(process, stream)
        assert pipe.readline()
        pipe.close()
        assert process.wait(60) == 0
    assert (tmp_path / "done").read_text() == "finished"
    assert b"Traceback" not in (tmp_path / "other").read_bytes()
    assert b"BrokenPipe" not in (tmp_path / "other").read_bytes()


def test_output_that_is_closed_from_the_start_is_no_error(tmp_path):
    assert _start(tmp_path, redirection=">&- 2>&-").wait(60) == 0
    assert (tmp_path / "done").read_text() == "finished"
