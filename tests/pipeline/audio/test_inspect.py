"""Lengths that headers claim."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
import synthetic_audio

from pipeline.audio import ffmpeg
from pipeline.audio import inspect as inspecting
from pipeline.audio.inspect import claimed_seconds


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


def test_an_ffmpeg_that_hangs_claims_nothing_and_is_ended(tmp_path, monkeypatch):
    script = tmp_path / "ffmpeg"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "executable", lambda: str(script))
    monkeypatch.setattr(inspecting, "TIMEOUT_SECONDS", 0.3)
    (tmp_path / "x.wav").write_bytes(b"no audio")
    assert claimed_seconds(tmp_path / "x.wav") is None


def test_inspecting_reads_no_standard_input(tmp_path, monkeypatch):
    used = {}
    monkeypatch.setattr(subprocess, "run", lambda command, **options: used.update(options, command=command) or 1 / 0)
    (tmp_path / "x.wav").write_bytes(b"no audio")
    with pytest.raises(ZeroDivisionError):
        claimed_seconds(tmp_path / "x.wav")
    assert used["stdin"] == subprocess.DEVNULL
    assert "-nostdin" in used["command"]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff"])
def test_common_headers_need_no_process(tmp_path, suffix, monkeypatch):
    path = synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.chords(3.0, 48_000), 48_000)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: pytest.fail("a program was started"))
    assert claimed_seconds(path) == pytest.approx(3.0, abs=0.15)


def test_an_empty_file_claims_zero_seconds(tmp_path):
    (tmp_path / "x.mp3").touch()
    assert claimed_seconds(tmp_path / "x.mp3") == 0.0
