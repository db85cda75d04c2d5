"""Decoders that crash or hang inside a worker: one refused clip with a reason, and every neighbour is stored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import synthetic_audio

from pipeline import ingest
from pipeline.ingestion import recording, subprocess_decode
from pipeline.ingestion.plan import Limits
from pipeline.ingestion.recording import DecodeSettings
from stores.errors import MissingArtifact
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

ROOT = Path(ingest.__file__).parents[1]
# A decoder in every process that is started: it dies or hangs on files of certain names, and in no other way differs.
# PyDLL keeps the interpreter's lock while it sleeps, as a decoder that loops inside a library may.
BAD_DECODER = """
import ctypes, os, signal
from pipeline import isolation
from pipeline.audio import sndfile
isolation.GRACE_SECONDS = 12.0
good = sndfile.FileDecoder.blocks
def blocks(self):
    if "crash" in self._path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in self._path.name:
        ctypes.PyDLL(None).sleep(600)
    return good(self)
sndfile.FileDecoder.blocks = blocks
"""


@pytest.fixture
def bad_decoder(tmp_path, monkeypatch):
    """Environment of processes whose decoder is bad."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BAD_DECODER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{ROOT}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path


def _reading(root, **limits):
    return DecodeSettings(root, MelSpec(), Quantizer(), Limits(**limits))


def _row(name, frames=200):
    return ClipRow(0, name, name, name, "", bound_frames=frames)


def test_a_recording_read_apart_gives_what_it_gives_here(tmp_path):
    synthetic_audio.write(tmp_path / "a.wav", synthetic_audio.chords(4.0))
    clips = [replace(_row("a.wav"), index=i, cut_start_seconds=i, cut_seconds=1.0, bound_frames=32) for i in range(3)]
    here, apart = (module.read(_reading(tmp_path), clips) for module in (recording, subprocess_decode))
    assert [row for row, _ in apart] == [row for row, _ in here]
    for (_, expected), (_, codes) in zip(here, apart, strict=True):
        np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize(("content", "reason"), [(b"", "unreadable"), (b"no audio", "unreadable")])
def test_a_refusal_comes_back_with_its_reason_and_detail(tmp_path, content, reason):
    (tmp_path / "a.wav").write_bytes(content)
    ((here, _),) = recording.read(_reading(tmp_path), [_row("a.wav")])
    ((apart, codes),) = subprocess_decode.read(_reading(tmp_path), [_row("a.wav")])
    assert (apart.state, apart.reason, codes) == ("refused", reason, None)
    assert apart == here


def test_a_root_that_is_gone_stops_the_run_from_there_too(tmp_path):
    with pytest.raises(MissingArtifact, match="gone or empty now; mount it again"):
        subprocess_decode.read(_reading(tmp_path / "unplugged"), [_row("a.wav")])


def test_a_crash_is_a_refusal_that_names_the_signal(bad_decoder):
    synthetic_audio.write(bad_decoder / "crash.wav", synthetic_audio.chords(1.0))
    ((row, codes),) = subprocess_decode.read(_reading(bad_decoder), [_row("crash.wav")])
    assert (row.state, row.reason, codes) == ("refused", "crashed", None)
    assert "SIGSEGV" in row.detail


def test_a_hang_is_ended_in_time_and_leaves_no_process(bad_decoder, monkeypatch):
    monkeypatch.setattr(subprocess_decode, "GRACE_SECONDS", 2.0)
    synthetic_audio.write(bad_decoder / "hang.wav", synthetic_audio.chords(1.0))
    start, before = time.perf_counter(), psutil.Process().children(recursive=True)
    ((row, _),) = subprocess_decode.read(_reading(bad_decoder, decode_seconds=1.0), [_row("hang.wav")])
    assert (row.state, row.reason, row.detail) == ("refused", "timeout", "reading it took over 3 s")
    assert time.perf_counter() - start < 30
    assert psutil.Process().children(recursive=True) == before


@pytest.mark.slow
def test_decoders_that_crash_and_hang_in_workers_cost_their_clips_and_nothing_else(bad_decoder):
    music = bad_decoder / "music"
    names = ["crash-1.wav", "crash-2.wav", "hang.wav", *(f"good-{number}.wav" for number in range(8))]
    for number, name in enumerate(names):
        synthetic_audio.write(music / name, synthetic_audio.chords(3.0 + number % 3, seed=number))
    store = bad_decoder / "m.zarr"
    command = [sys.executable, "-m", "pipeline.ingest", "folder", "--root", str(music), "--store", str(store)]
    done = subprocess.run(
        [*command, "--workers", "2", "--decode-seconds", "1"], capture_output=True, text=True, timeout=180, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    rows = MelStore.open(store).rows
    assert {row.id for row in rows if row.state == "written"} == {name for name in names if name.startswith("good")}
    refused = {row.id: (row.reason, row.detail) for row in rows if row.state == "refused"}
    assert refused["crash-1.wav"] == refused["crash-2.wav"] == ("crashed", "the decoder ended by SIGSEGV")
    assert refused["hang.wav"] == ("timeout", "reading it took over 13 s")


@pytest.mark.slow
def test_a_worker_that_is_killed_midway_costs_its_task_and_nothing_else(tmp_path):
    for number in range(16):
        synthetic_audio.write(
            tmp_path / "music" / f"{number}.flac", synthetic_audio.chords(30.0, 44_100, seed=number), 44_100
        )
    words = ["folder", "--root", str(tmp_path / "music"), "--scheduler"]
    assert ingest.main([*words, "threads", "--store", str(tmp_path / "a.zarr")]) == 0
    command = [sys.executable, "-m", "pipeline.ingest", *words, "processes", "--store", str(tmp_path / "b.zarr")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    parts = tmp_path / "b.zarr" / "parts"
    while not (parts.exists() and any(parts.iterdir())):
        time.sleep(0.01)
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    os.kill(workers[0].pid, signal.SIGKILL)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    expected, found = MelStore.open(tmp_path / "a.zarr"), MelStore.open(tmp_path / "b.zarr")
    assert found.rows == expected.rows
