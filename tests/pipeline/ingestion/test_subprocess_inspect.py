"""Tests of inspection in a process of its own, for files whose headers crash a worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic_audio

from pipeline import ingest
from pipeline.audio.inspect import bound_seconds
from pipeline.ingestion import subprocess_inspect
from pipeline.ingestion.subprocess_inspect import read_seconds
from stores.mel_store import MelStore

ROOT = Path(ingest.__file__).parents[1]
# Every new process gets this reader of headers, which crashes or hangs for files with certain names.
BAD_READER = """
import ctypes, os, signal
from pipeline.audio import inspect
from pipeline.ingestion import build, subprocess_inspect
build.GRACE_SECONDS = subprocess_inspect.GRACE_SECONDS = 2.0
good = inspect._sndfile_header
def header(path):
    if "crash" in path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in path.name:
        ctypes.PyDLL(None).sleep(600)
    return good(path)
inspect._sndfile_header = header
"""


@pytest.fixture
def bad_reader(tmp_path, monkeypatch):
    """Give every new process the reader of headers that crashes and hangs, and return an empty folder."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BAD_READER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{ROOT}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path


@pytest.mark.parametrize("name", ["x.flac", "-ü 'x.m4a"])
def test_a_subprocess_gives_the_same_length(tmp_path, name):
    path = synthetic_audio.write(tmp_path / f"written{Path(name).suffix}", synthetic_audio.chords(2.0))
    path = path.rename(tmp_path / name)
    assert read_seconds(path, "", 20.0) == bound_seconds(path)


def test_a_member_of_a_container_is_found(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.wav", synthetic_audio.chords(2.0))
    synthetic_audio.pack(tmp_path / "all.tar", [path])
    assert read_seconds(tmp_path / "all.tar", "x.wav", 20.0) == 2.0


@pytest.mark.slow
def test_a_crash_a_hang_and_a_missing_file_give_no_length(bad_reader, monkeypatch):
    monkeypatch.setattr(subprocess_inspect, "GRACE_SECONDS", 1.0)
    for name in ("crash.wav", "hang.wav"):
        synthetic_audio.write(bad_reader / name, synthetic_audio.chords(1.0))
    assert [read_seconds(bad_reader / name, "", 1.0) for name in ("crash.wav", "hang.wav", "none.wav")] == [0.0] * 3


@pytest.mark.slow
def test_headers_that_crash_and_hang_workers_do_not_end_the_run(bad_reader):
    names = ["crash.wav", "hang.wav", *(f"good-{number}.wav" for number in range(6))]
    for number, name in enumerate(names):
        synthetic_audio.write(bad_reader / "music" / name, synthetic_audio.chords(2.0, seed=number))
    store = bad_reader / "m.zarr"
    command = [sys.executable, "-m", "pipeline.ingest", "folder", "--root", str(bad_reader / "music")]
    done = subprocess.run(
        [*command, "--store", str(store), "--workers", "2", "--decode-seconds", "1"],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert {row.id: row.state for row in MelStore.open(store).rows} == dict.fromkeys(names, "written")
