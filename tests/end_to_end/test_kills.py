"""An ingest or sharding that is killed at any moment and restarted gives the same result and repeats no work.

SIGKILL goes to the whole process group, so no clean-up code runs. `MYNA_TEST_KILLS` sets the number of kills (20).
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import synthetic_audio

from pipeline import ingest
from stores.lock import lock_file
from stores.mel_store import MelStore

pytestmark = pytest.mark.slow
ROOT = Path(ingest.__file__).parents[1]
KILLS = int(os.environ.get("MYNA_TEST_KILLS", "20"))
CLIPS = 150
SHARD = """
import sys
from pathlib import Path
from pipeline.sharding.shard_writer import ShardPlan, write_shards
from stores.commit import remove_temporary_files
from stores.lock import write_lock
from stores.mel_store import MelStore
folder = Path(sys.argv[2])
with write_lock(folder):
    remove_temporary_files(folder)
    write_shards(MelStore.open(sys.argv[1]), folder, ShardPlan(0, 512, 1))
"""


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Return a folder of short recordings, of which some are invalid or have the suffix of another format."""
    root = tmp_path_factory.mktemp("music")
    for number in range(CLIPS):
        synthetic_audio.write(root / f"{number:03}.wav", synthetic_audio.chords(4.0 + number % 3, seed=number))
    for number in range(0, CLIPS, 10):
        (root / f"bad-{number}.wav").write_text("no audio")
    for number in range(5, CLIPS, 15):  # WAV content under the suffix of another format
        path = root / f"{number:03}.wav"
        path.with_suffix(".mp3").write_bytes(path.read_bytes())
    return root


def _run(command, kill_after=None):
    """Run a command and return whether it ended before its process group was killed after `kill_after` seconds."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, text=True
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        _, errors = process.communicate(timeout=kill_after)
        assert process.returncode == 0, errors
        return True
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return False


def _files(folder, *, except_names=()):
    """Return the content of every file, except files with `except_names`, whose content depends on the run."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in except_names]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _stamp(path):
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _finished_regions(path):
    """Return the files of all finished regions with their stamps, which change when a file is written again."""
    if not path.exists():
        return {}
    store = MelStore.open(path, complete=False)
    starts = {row.region_start for row in store.merged_rows() if row.state == "written"}
    files = [store.shard_files(start, start + 1)[0] for start in starts]
    return {file: _stamp(file) for file in files}


def _kill_and_restart(command, finished_files, kills, seconds, seed):
    """Start a command until it ends, kill it at random moments, and check that finished files are never rewritten."""
    rng = random.Random(seed)
    stamps = {}
    for _ in range(kills):
        if _run(command, kill_after=rng.uniform(0, seconds)):
            return
        stamps_after_kill = finished_files()
        assert {file: stamps_after_kill.get(file) for file in stamps} == stamps
        stamps = stamps_after_kill
    assert _run(command)
    assert {file: _stamp(file) for file in stamps} == stamps


def test_an_ingest_killed_at_random_moments_ends_bit_identical_without_repeated_work(music, tmp_path):
    def command(name, scheduler):
        words = ["--root", str(music), "--store", str(tmp_path / name), "--scheduler", scheduler, "--workers", "2"]
        return [sys.executable, "-m", "pipeline.ingest", "folder", *words]

    start = time.perf_counter()
    assert _run(command("whole.zarr", "threads"))
    seconds = time.perf_counter() - start
    expected = _files(tmp_path / "whole.zarr", except_names=["report.json"])
    for attempt, kills in enumerate((KILLS // 4, KILLS // 4, KILLS - 2 * (KILLS // 4))):
        store = tmp_path / f"{attempt}.zarr"
        scheduler = ("threads", "processes", "threads")[attempt]
        _kill_and_restart(
            command(store.name, scheduler), lambda store=store: _finished_regions(store), kills, seconds, seed=attempt
        )
        assert _files(store, except_names=["report.json"]) == expected
        assert not lock_file(store).exists()
        assert not [path.name for path in tmp_path.iterdir() if "building" in path.name]


def test_sharding_killed_at_random_moments_ends_bit_identical_without_repeated_work(music, tmp_path):
    store = tmp_path / "m.zarr"
    words = ["folder", "--root", str(music), "--store", str(store), "--scheduler", "threads", "--workers", "2"]
    assert ingest.main(words) == 0
    start = time.perf_counter()
    assert _run([sys.executable, "-c", SHARD, str(store), str(tmp_path / "whole" / "m.shards")])
    seconds = time.perf_counter() - start
    expected = _files(tmp_path / "whole" / "m.shards")
    assert len(expected) > 20

    def finished_tars(folder):
        names = [path.name.removesuffix(".json") for path in (folder / "parts").glob("*.json")]
        if (folder / "index.json").exists():  # it was killed while it removed the records of the parts
            names = [path.name for path in folder.glob("*.tar")]
        return {folder / name: _stamp(folder / name) for name in names}

    for attempt in range(4):
        folder = tmp_path / str(attempt) / "m.shards"
        command = [sys.executable, "-c", SHARD, str(store), str(folder)]
        _kill_and_restart(command, lambda folder=folder: finished_tars(folder), KILLS // 4, seconds, seed=attempt)
        assert _files(folder) == expected
