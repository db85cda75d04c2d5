"""Lengths that headers claim, and bounds of the length where they claim none."""

from __future__ import annotations

import os
import subprocess
import time

import numpy as np
import psutil
import pytest
import soundfile
import synthetic_audio

from pipeline.audio import ffmpeg
from pipeline.audio import inspect as inspecting
from pipeline.audio.inspect import bound_seconds, claimed_seconds


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".webm", ".aiff", ".mka"])
def test_the_length_is_read_from_every_kind_of_header(tmp_path, suffix):
    path = synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.chords(3.0, 48_000), 48_000)
    assert claimed_seconds(path) == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize("name", ["-y.m4a", "with space.m4a", "new\nline.m4a", "quote'.m4a", "ü%03d.m4a"])
def test_every_file_name_is_taken_literally(tmp_path, name):
    path = synthetic_audio.write(tmp_path / "x.m4a", synthetic_audio.chords(2.0)).rename(tmp_path / name)
    assert claimed_seconds(path) == pytest.approx(2.0, abs=0.15)


def test_the_content_and_not_the_name_decides(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.m4a", synthetic_audio.chords(2.0)).rename(tmp_path / "x.wav")
    assert claimed_seconds(path) == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("content", [b"no audio", bytes(5000), b"#EXTM3U\n#EXTINF:10,\nsecret.wav\n"])
def test_a_file_that_is_not_audio_claims_nothing(tmp_path, content):
    synthetic_audio.write(tmp_path / "secret.wav", synthetic_audio.chords(2.0))
    (tmp_path / "x.wav").write_bytes(content)
    assert claimed_seconds(tmp_path / "x.wav") is None


def test_a_missing_file_claims_nothing(tmp_path):
    assert claimed_seconds(tmp_path / "none.wav") is None


def test_a_file_without_samples_claims_nothing(tmp_path):
    assert claimed_seconds(synthetic_audio.write(tmp_path / "x.wav", np.zeros(0, np.float32))) is None


def _replace_ffmpeg(tmp_path, monkeypatch, script):
    (tmp_path / "ffmpeg").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setattr(ffmpeg, "executable", lambda: str(tmp_path / "ffmpeg"))


@pytest.mark.slow
def test_an_ffmpeg_that_hangs_claims_nothing_and_is_ended_with_its_children(tmp_path, monkeypatch):
    _replace_ffmpeg(tmp_path, monkeypatch, f"sleep 61 & echo $! > {tmp_path}/child; exec sleep 60")
    monkeypatch.setattr(inspecting, "TIMEOUT_SECONDS", 3.0)
    (tmp_path / "x.wav").write_bytes(b"no audio")
    assert claimed_seconds(tmp_path / "x.wav") is None
    child = int((tmp_path / "child").read_text())
    limit = time.monotonic() + 5  # a killed process ends when it is scheduled next, and its own 61 s are far away
    while _runs(child) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_ffmpeg_that_hangs_leaves_the_size_as_the_bound(tmp_path, monkeypatch):
    _replace_ffmpeg(tmp_path, monkeypatch, "exec sleep 60")
    (tmp_path / "x.wav").write_bytes(bytes(5_000))
    start = time.perf_counter()
    assert bound_seconds(tmp_path / "x.wav", timeout_seconds=0.3) == 5.0
    assert time.perf_counter() - start < 10


def test_inspecting_reads_no_standard_input(tmp_path, monkeypatch):
    _replace_ffmpeg(tmp_path, monkeypatch, 'echo "Duration: 00:00:0$(wc -c).00" >&2')
    (tmp_path / "x.wav").write_bytes(b"no audio")
    assert claimed_seconds(tmp_path / "x.wav") == 0.0
    assert "-nostdin" in ffmpeg.inspect_command(tmp_path / "x.wav")


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("flac", []), ("matroska", []), ("webm", ["-c:a", "libopus"]), ("wv", []), ("mp3", []), ("wav", []), ("au", [])],
)
def test_a_length_that_a_pipe_could_not_write_into_the_header_is_found(tmp_path, suffix, options):
    path = synthetic_audio.write(tmp_path / "x.wav", synthetic_audio.chords(20.0, 48_000), 48_000)
    command = [ffmpeg.executable(), "-v", "error", "-i", str(path), *options, "-f", suffix, "pipe:1"]
    piped = tmp_path / "piped"
    piped.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    assert bound_seconds(piped) == pytest.approx(20.0, abs=0.15)
    piped.write_bytes(piped.read_bytes()[: piped.stat().st_size // 2])
    assert 9.0 <= bound_seconds(piped) <= 20.1


def test_a_huge_file_without_audio_is_given_up_in_time(tmp_path):
    (tmp_path / "huge.mp3").touch()
    os.truncate(tmp_path / "huge.mp3", 10**12)
    before, start = psutil.Process().children(recursive=True), time.perf_counter()
    assert bound_seconds(tmp_path / "huge.mp3", timeout_seconds=1.0) == 10**9
    assert time.perf_counter() - start < 10
    assert not [process for process in psutil.Process().children(recursive=True) if "ffmpeg" in process.name()]
    assert len(before) <= len(psutil.Process().children(recursive=True)) <= len(before) + 1


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff"])
def test_common_headers_need_no_process(tmp_path, suffix, monkeypatch):
    path = synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.chords(3.0, 48_000), 48_000)
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **options: pytest.fail("a program was started"))
    assert claimed_seconds(path) == pytest.approx(3.0, abs=0.15)


def test_an_empty_file_claims_zero_seconds(tmp_path):
    (tmp_path / "x.mp3").touch()
    assert claimed_seconds(tmp_path / "x.mp3") == 0.0


def test_a_header_that_claims_more_than_the_size_allows_is_not_believed(tmp_path, monkeypatch):
    path = tmp_path / "x.flac"
    path.write_bytes(bytes(50_000))
    monkeypatch.setattr(inspecting, "claimed_seconds", lambda *_: 1e6)
    assert bound_seconds(path) == 50


@pytest.mark.parametrize(("claimed", "believed"), [(59.0, 59.0), (60.0, 60.0), (61.0, 5.0)])
def test_a_header_that_claims_less_than_a_minute_is_believed(tmp_path, monkeypatch, claimed, believed):
    path = tmp_path / "x.flac"
    path.write_bytes(bytes(5_000))
    monkeypatch.setattr(inspecting, "claimed_seconds", lambda *_: claimed)
    assert bound_seconds(path) == believed


def test_a_short_clip_of_near_silence_is_planned_with_its_length(tmp_path):
    path = tmp_path / "x.flac"
    quiet = np.zeros(10 * 44_100, np.int16)
    quiet[:2_000] = 300
    soundfile.write(path, quiet, 44_100)
    assert path.stat().st_size < 9_000
    assert bound_seconds(path) == 10.0
