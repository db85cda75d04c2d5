"""Tests of subprocess decoding: a decoder that crashes or hangs rejects its clip, and all others are stored."""

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
from pipeline.ingestion import python_process, recording, subprocess_decode
from pipeline.ingestion.config import Limits
from pipeline.ingestion.recording import DecodeSettings
from stores.errors import MissingArtifact
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

ROOT = Path(ingest.__file__).parents[1]
# Every new process gets this decoder, which crashes or hangs for files with certain names and works for all others.
# PyDLL keeps the interpreter's lock while it sleeps, as a decoder that loops inside a library can.
BAD_DECODER = """
import ctypes, os, signal
from pipeline.ingestion import subprocess_decode
from pipeline.audio import sndfile
subprocess_decode.GRACE_SECONDS = 12.0
good = sndfile.FileDecoder.blocks
def blocks(self):
    if "crash" in self._path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "large" in self._path.name:
        bytearray(2 << 30)
    if "hang" in self._path.name:
        ctypes.PyDLL(None).sleep(600)
    return good(self)
sndfile.FileDecoder.blocks = blocks
"""


@pytest.fixture
def bad_decoder(tmp_path, monkeypatch):
    """Give every new process the decoder that crashes and hangs, and return an empty folder."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BAD_DECODER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{ROOT}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path


def _settings(root, **limits):
    return DecodeSettings(root, MelSpec(), Quantizer(), Limits(**limits))


def _row(name, frames=200):
    return ClipRow(0, name, name, name, "", bound_frames=frames)


def test_a_subprocess_gives_the_same_rows_and_codes(tmp_path):
    synthetic_audio.write(tmp_path / "a.wav", synthetic_audio.chords(4.0))
    clips = [replace(_row("a.wav"), index=i, cut_start_seconds=i, cut_seconds=1.0, bound_frames=32) for i in range(3)]
    expected, results = (module.read(_settings(tmp_path), clips) for module in (recording, subprocess_decode))
    assert [row for row, _ in results] == [row for row, _ in expected]
    for (_, expected_codes), (_, codes) in zip(expected, results, strict=True):
        np.testing.assert_array_equal(codes, expected_codes)


@pytest.mark.parametrize(("content", "reason"), [(b"", "unreadable"), (b"no audio", "unreadable")])
def test_a_rejection_keeps_its_reason_and_detail(tmp_path, content, reason):
    (tmp_path / "a.wav").write_bytes(content)
    ((expected, _),) = recording.read(_settings(tmp_path), [_row("a.wav")])
    ((row, codes),) = subprocess_decode.read(_settings(tmp_path), [_row("a.wav")])
    assert (row.state, row.reason, codes) == ("refused", reason, None)
    assert row == expected


def test_a_missing_root_is_an_error_and_no_rejection(tmp_path):
    with pytest.raises(MissingArtifact, match="gone or empty; mount it again"):
        subprocess_decode.read(_settings(tmp_path / "unplugged"), [_row("a.wav")])


def test_a_crash_is_a_rejection_that_names_the_signal(bad_decoder):
    synthetic_audio.write(bad_decoder / "crash.wav", synthetic_audio.chords(1.0))
    ((row, codes),) = subprocess_decode.read(_settings(bad_decoder), [_row("crash.wav")])
    assert (row.state, row.reason, codes) == ("refused", "crashed", None)
    assert "SIGSEGV" in row.detail


@pytest.mark.slow
def test_a_hang_is_ended_in_time_and_no_process_remains(bad_decoder, monkeypatch):
    monkeypatch.setattr(subprocess_decode, "GRACE_SECONDS", 2.0)
    synthetic_audio.write(bad_decoder / "hang.wav", synthetic_audio.chords(1.0))
    start, before = time.perf_counter(), psutil.Process().children(recursive=True)
    ((row, _),) = subprocess_decode.read(_settings(bad_decoder, decode_seconds=1.0), [_row("hang.wav")])
    assert (row.state, row.reason, row.detail) == ("refused", "timeout", "reading it took longer than 3 s")
    assert time.perf_counter() - start < 30
    remaining = set(psutil.Process().children(recursive=True)) - set(before)
    assert [process for process in remaining if "killpg" not in " ".join(process.cmdline())] == []  # all but the guard


@pytest.mark.slow
def test_only_the_clips_of_crashing_and_hanging_decoders_are_rejected(bad_decoder):
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
    rejected = {row.id: (row.reason, row.detail) for row in rows if row.state == "refused"}
    assert rejected["crash-1.wav"] == rejected["crash-2.wav"] == ("crashed", "the decoder was ended by SIGSEGV")
    assert rejected["hang.wav"] == ("timeout", "reading it took longer than 13 s")


@pytest.mark.slow
def test_a_killed_worker_changes_nothing_in_the_store(tmp_path):
    for number in range(16):
        synthetic_audio.write(
            tmp_path / "music" / f"{number}.flac", synthetic_audio.chords(30.0, 44_100, seed=number), 44_100
        )
    arguments = ["folder", "--root", str(tmp_path / "music"), "--scheduler"]
    assert ingest.main([*arguments, "threads", "--store", str(tmp_path / "a.zarr")]) == 0
    command = [sys.executable, "-m", "pipeline.ingest", *arguments, "processes", "--store", str(tmp_path / "b.zarr")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    parts = tmp_path / "b.zarr" / "parts"
    while not (parts.exists() and any(parts.iterdir())):
        time.sleep(0.01)
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    os.kill(workers[0].pid, signal.SIGKILL)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    expected, store = MelStore.open(tmp_path / "a.zarr"), MelStore.open(tmp_path / "b.zarr")
    assert store.rows == expected.rows


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process that runs already")
def test_a_decoder_that_needs_too_much_memory_is_a_rejection(bad_decoder, monkeypatch):
    synthetic_audio.write(bad_decoder / "large.wav", synthetic_audio.chords(1.0))
    synthetic_audio.write(bad_decoder / "good.wav", synthetic_audio.chords(1.0))
    monkeypatch.setattr(python_process, "max_data_bytes", lambda: 1 << 30)
    ((row, _),) = subprocess_decode.read(_settings(bad_decoder), [_row("large.wav")])
    assert (row.state, row.reason) == ("refused", "crashed")
    assert "MemoryError" in row.detail
    ((row, _),) = subprocess_decode.read(_settings(bad_decoder), [_row("good.wav")])
    assert row.state == "written"
