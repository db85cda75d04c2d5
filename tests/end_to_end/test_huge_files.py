"""An ingest among files of a terabyte without audio: they are rejected in time, and no program outlives the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import synthetic_audio

from pipeline import ingest
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
