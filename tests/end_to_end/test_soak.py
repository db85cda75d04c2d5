"""A long run holds its memory, and leaves no process, thread, file handle or temporary file behind.

`MYNA_TEST_SOAK_HOURS` sets the hours of audio (2); the recordings of MYNA_TEST_RECORDINGS are repeated, if it names a
folder of some, else a few of our own.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import synthetic_audio

from pipeline import ingest
from stores.lock import lock_file
from stores.mel_store import MelStore

pytestmark = pytest.mark.slow
ROOT = Path(ingest.__file__).parents[1]
HOURS = float(os.environ.get("MYNA_TEST_SOAK_HOURS", "2"))
RECORDINGS = os.environ.get("MYNA_TEST_RECORDINGS", "")
MEBIBYTE = 1 << 20


def _repeated(folder, originals):
    """Links to the originals, in turn, until there is as much audio as was asked for; returns seconds."""
    folder.mkdir()
    made = [(path, seconds) for path in originals if (seconds := _seconds(path))]
    total = number = 0
    while total < HOURS * 3600:
        path, seconds = made[number % len(made)]
        (folder / f"{number:05}{path.suffix}").symlink_to(path)
        total, number = total + seconds, number + 1
    (folder / "bad.wav").write_text("no audio")
    return total


def _seconds(path):
    try:
        return soundfile.info(str(path)).duration
    except soundfile.LibsndfileError:
        return 0


def _originals(folder):
    if RECORDINGS:
        return sorted(path for path in Path(RECORDINGS).rglob("*") if path.is_file())
    folder.mkdir()
    return [_long(folder / f"x{suffix}") for suffix in (".ogg", ".flac", ".mp3", ".wav")]


def _long(path):
    """Three minutes, written second by second: libsndfile's Vorbis encoder overflows its stack on long blocks."""
    with soundfile.SoundFile(path, "w", 44_100, 1) as file:
        for block in np.split(synthetic_audio.chords(180.0, 44_100), 180):
            file.write(block)
    return path


def _look(process, samples):
    """Resident bytes, threads and file handles of each of the process's children, and of itself."""
    for one in [process, *process.children(recursive=True)]:
        try:
            with one.oneshot():
                known = one.pid, one.create_time()
                samples[known].append((one.memory_info().rss, one.num_threads(), one.num_fds()))
        except psutil.NoSuchProcess:
            continue


def _thirds(values):
    """The largest of the second and of the last third of a run: the first is for warming up."""
    third = len(values) // 3
    return max(values[third : 2 * third]), max(values[2 * third :])


def test_a_long_run_holds_its_memory_and_leaves_nothing_behind(tmp_path):
    seconds = _repeated(tmp_path / "music", _originals(tmp_path / "made"))
    (tmp_path / "scratch").mkdir()
    store = tmp_path / "m.zarr"
    words = ["folder", "--root", str(tmp_path / "music"), "--store", str(store), "--workers", "2"]
    with (tmp_path / "said").open("wb") as said:
        running = psutil.Popen(
            [sys.executable, "-m", "pipeline.ingest", *words],
            stdout=said,
            stderr=said,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path / "scratch")},
        )
        samples, start, family = defaultdict(list), time.perf_counter(), set()
        while running.poll() is None:
            family |= set(running.children(recursive=True))
            _look(running, samples)
            time.sleep(0.2)
    took = time.perf_counter() - start
    assert running.returncode == 0, (tmp_path / "said").read_text()[-3000:]
    longest = max(len(values) for values in samples.values())
    lasting = [values for values in samples.values() if len(values) > 0.7 * longest]  # the driver and its workers
    assert len(lasting) >= 3
    for values in lasting:
        (rss, later_rss), (threads, later_threads), (handles, later_handles) = map(_thirds, zip(*values, strict=True))
        print(
            f"process: {rss / MEBIBYTE:.0f} MiB, {threads} threads, {handles} handles in the second third of the run, "
            f"{later_rss / MEBIBYTE:.0f} MiB, {later_threads} threads, {later_handles} handles in the last"
        )
        assert later_rss < 1.1 * rss + 16 * MEBIBYTE
        assert later_threads <= threads + 2
        assert later_handles <= handles + 8
    print(f"{seconds / 3600:.1f} h of audio in {took:.0f} s")
    assert psutil.wait_procs(family, timeout=10)[1] == []
    left = [path.name for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
    assert [name for name in left if name not in ("global.lock", "purge.lock")] == []  # Dask's own, empty
    assert not lock_file(store).exists()
    assert not list(store.rglob("*.partial")) + list(store.rglob("*.tmp-*"))
    rows = {row.id: row for row in MelStore.open(store).rows}
    by_original = defaultdict(set)
    for name, row in rows.items():
        by_original[(tmp_path / "music" / name).resolve()].add((row.state, row.reason, row.codes_digest))
    assert {len(results) for results in by_original.values()} == {1}, "one recording, two results"
    assert rows["bad.wav"].state == "refused"
    assert RECORDINGS or {row.state for name, row in rows.items() if name != "bad.wav"} == {"written"}
