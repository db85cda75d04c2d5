"""Extraction, probing, report and repair that are killed at any moment and started again end with the same bytes.

SIGKILL goes to the whole process group, so no clean-up code runs. `MYNA_TEST_STAGE_KILLS` sets the number of kills of
each stage (3), and the moments follow from a fixed seed.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import synthetic_audio
import synthetic_report

from pipeline import ingest

pytestmark = pytest.mark.slow
ROOT = Path(ingest.__file__).parents[1]
KILLS = int(os.environ.get("MYNA_TEST_STAGE_KILLS", "3"))
CLIPS = 24
STAGES = {
    "extract": ["model.extract", "m", "--checkpoint", "first"],
    "probe": ["model.probe", "m", "--checkpoint", "first"],
    "report": ["model.report", "m", "--run", "first", "--map", "m"],
    "verify": ["pipeline.verify", "stores/m.zarr", "--repair", "--scheduler", "threads", "--workers", "2"],
}


def _run(folder, stage, kill_after=None):
    """Run a stage and return how long it took, or None if it was killed after `kill_after` seconds."""
    module, *words = STAGES[stage]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        _, errors = process.communicate(timeout=kill_after or 300)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    assert process.returncode == 0, errors
    return time.perf_counter() - start


def _bytes(folder):
    """Return the content of all files by path. A killed process may leave only the lock file of its store."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in (".log", ".lock"))
    return {path.relative_to(folder): path.read_bytes() for path in files}


def _damage(folder):
    for file in (folder / "stores" / "m.zarr" / "mel" / "c" / "0").iterdir():
        content = bytearray(file.read_bytes())
        content[len(content) // 3] ^= 1
        file.write_bytes(content)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two equal working directories with a labeled mel store and a run."""
    folder = tmp_path_factory.mktemp("whole")
    lines = ["path,split,group,key"]
    for number in range(CLIPS):
        synthetic_audio.write(folder / "music" / f"{number:02}.flac", synthetic_audio.chords(4.0, seed=number))
        split = ("train", "valid", "test")[number % 3]
        lines.append(f"{number:02}.flac,{split},{number},key-{number // 3 % 2}")
    (folder / "labels.csv").write_text("\n".join(lines))
    words = ["--root", folder / "music", "--store", folder / "stores" / "m.zarr", "--labels", folder / "labels.csv"]
    assert ingest.main(["folder", *map(str, words), "--scheduler", "threads", "--workers", "2"]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        synthetic_report.run("first")
    other = tmp_path_factory.mktemp("killed") / "place"
    shutil.copytree(folder, other)
    return folder, other


def test_stages_killed_at_random_moments_end_with_the_same_bytes(folders):
    whole, killed = folders
    rng = random.Random(18)
    for stage in STAGES:
        if stage == "verify":
            _damage(whole)
            _damage(killed)
        seconds = _run(whole, stage)
        kills = sum(_run(killed, stage, rng.uniform(0.2 * seconds, seconds)) is None for _ in range(KILLS))
        print(f"{stage}: {seconds:.1f} s, killed {kills} times")
        _run(killed, stage)
        expected, actual = _bytes(whole), _bytes(killed)
        assert sorted(actual) == sorted(expected), stage
        assert [path for path in expected if actual[path] != expected[path]] == [], stage
    assert {path.suffix for path in expected} >= {".safetensors", ".svg", ".html", ".json", ".csv", ".parquet"}
