"""An ingest among files of a terabyte without audio: they are rejected in time, and no program outlives the run."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import synthetic_audio

from pipeline import ingest
from pipeline.audio.attempt import StreamSettings
from pipeline.audio.deadline import Deadline
from pipeline.audio.decode import decode_stream
from stores.mel_store import MelStore

pytestmark = pytest.mark.slow
ROOT = Path(ingest.__file__).parents[1]


def _programs_that_read(folder):
    return [process for process in psutil.process_iter(["cmdline"]) if str(folder) in str(process.info["cmdline"])]


@pytest.mark.parametrize("audio_seconds", [0, 4])
def test_a_terabyte_of_zeros_is_rejected_in_time_and_its_neighbors_are_stored(tmp_path, audio_seconds):
    music = tmp_path / "music"
    music.mkdir()
    for suffix in (".mp3", ".m4a", ".webm", ".flac"):
        path = music / f"huge{suffix}"
        path.touch()
        if audio_seconds:
            synthetic_audio.write(path, synthetic_audio.chords(float(audio_seconds)))
        os.truncate(path, 10**12)
    synthetic_audio.write(music / "good.flac", synthetic_audio.chords(3.0))
    words = ["folder", "--root", str(music), "--store", str(tmp_path / "m.zarr"), "--decode-seconds", "4"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.ingest", *words, "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert _programs_that_read(music) == []
    rows = {row.id: row for row in MelStore.open(tmp_path / "m.zarr").rows}
    assert rows.pop("good.flac").state == "written"
    assert {name: (row.state, row.reason) for name, row in rows.items()} == dict.fromkeys(rows, ("refused", "timeout"))


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0])
def test_a_wav_file_of_unknown_size_over_4_gib_is_stored_whole(tmp_path, size):
    rate_hz, frame_bytes = 384_000, 64  # 16 channels of float32, so that 4 GiB are three minutes
    audio_bytes = ((1 << 32) + (1 << 26)) // frame_bytes * frame_bytes
    fields = (b"RIFF", (size + 36) & 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 3, 16, rate_hz, rate_hz * frame_bytes)
    path = tmp_path / "x.wav"
    with path.open("wb") as file:
        file.write(struct.pack("<4sI4s4sIHHIIHH4sI", *fields, frame_bytes, 32, b"data", size))
        tone = np.repeat(synthetic_audio.sine(440, 1.0, rate_hz), 16).astype("<f4").tobytes()
        file.seek(44 + audio_bytes - len(tone))
        file.write(tone)
    settings = StreamSettings(16_000, 1_000.0)
    last, recording = decode_stream(path, settings, _last_power, Deadline(300))
    assert (recording.seconds, recording.warnings) == (pytest.approx(audio_bytes / frame_bytes / rate_hz), ())
    assert last > 0.01  # the tone at the end


def _last_power(blocks):
    tail = np.zeros(0, np.float32)
    for block in blocks:
        tail = np.concatenate([tail, block[0]])[-8_000:]
    return float(np.square(tail).mean())
