"""A long ingest keeps its memory, threads and file handles bounded, and leaves no process or temporary file behind.

`MYNA_TEST_SOAK_HOURS` sets the hours of audio (2). The audio repeats the recordings of the folder that
MYNA_TEST_RECORDINGS names, or else a few synthesized ones.
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


def _write_links(folder, originals):
    """Write links to the originals in turn until they have `HOURS` of audio, and return the seconds of audio."""
    folder.mkdir()
    recordings = [(path, seconds) for path in originals if (seconds := _seconds(path))]
    total = number = 0
    while total < HOURS * 3600:
        path, seconds = recordings[number % len(recordings)]
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
    return [_write_long_recording(folder / f"x{suffix}") for suffix in (".ogg", ".flac", ".mp3", ".wav")]


def _write_long_recording(path):
    """Write three minutes of audio second by second, because libsndfile's Vorbis encoder overflows on long blocks."""
    with soundfile.SoundFile(path, "w", 44_100, 1) as file:
        for block in np.split(synthetic_audio.chords(180.0, 44_100), 180):
            file.write(block)
    return path


def _add_samples(process, samples):
    """Append the resident bytes, threads and file handles of a process and of each of its descendants."""
    for member in [process, *process.children(recursive=True)]:
        try:
            with member.oneshot():
                identity = member.pid, member.create_time()
                samples[identity].append((member.memory_info().rss, member.num_threads(), member.num_fds()))
        except psutil.NoSuchProcess:
            continue


def _maxima_of_thirds(values):
    """Return the maxima of the second and of the last third of a run; the first third is for warming up."""
    third = len(values) // 3
    return max(values[third : 2 * third]), max(values[2 * third :])


def test_a_long_run_keeps_its_memory_bounded_and_leaves_nothing_behind(tmp_path):
    seconds = _write_links(tmp_path / "music", _originals(tmp_path / "originals"))
    (tmp_path / "scratch").mkdir()
    store = tmp_path / "m.zarr"
    words = ["folder", "--root", str(tmp_path / "music"), "--store", str(store), "--workers", "2"]
    with (tmp_path / "output").open("wb") as output:
        process = psutil.Popen(
            [sys.executable, "-m", "pipeline.ingest", *words],
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path / "scratch")},
        )
        samples, start, children = defaultdict(list), time.perf_counter(), set()
        while process.poll() is None:
            children |= set(process.children(recursive=True))
            _add_samples(process, samples)
            time.sleep(0.2)
    wall_seconds = time.perf_counter() - start
    assert process.returncode == 0, (tmp_path / "output").read_text()[-3000:]
    longest = max(len(values) for values in samples.values())
    long_lived = [values for values in samples.values() if len(values) > 0.7 * longest]  # the driver and its workers
    assert len(long_lived) >= 3
    for values in long_lived:
        (rss, later_rss), (threads, later_threads), (handles, later_handles) = map(
            _maxima_of_thirds, zip(*values, strict=True)
        )
        print(
            f"process: {rss / MEBIBYTE:.0f} MiB, {threads} threads, {handles} handles in the second third of the run, "
            f"{later_rss / MEBIBYTE:.0f} MiB, {later_threads} threads, {later_handles} handles in the last"
        )
        assert later_rss < 1.1 * rss + 16 * MEBIBYTE
        assert later_threads <= threads + 2
        assert later_handles <= handles + 8
    print(f"{seconds / 3600:.1f} h of audio in {wall_seconds:.0f} s")
    assert psutil.wait_procs(children, timeout=10)[1] == []
    remaining = [path.name for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
    assert [name for name in remaining if name not in ("global.lock", "purge.lock")] == []  # empty files of Dask
    assert not lock_file(store).exists()
    assert not list(store.rglob("*.partial")) + list(store.rglob("*.tmp-*"))
    rows = {row.id: row for row in MelStore.open(store).rows}
    by_original = defaultdict(set)
    for name, row in rows.items():
        by_original[(tmp_path / "music" / name).resolve()].add((row.state, row.reason, row.codes_digest))
    assert {len(results) for results in by_original.values()} == {1}, "a recording has two different results"
    assert rows["bad.wav"].state == "refused"
    assert RECORDINGS or {row.state for name, row in rows.items() if name != "bad.wav"} == {"written"}
