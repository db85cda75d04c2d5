"""Listings of many files hold no object for each file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import folder
from pipeline.datasets.lazy_sequences import LazyTracks, Names
from pipeline.datasets.track import Track

MEMORY = """
import re, sys
from pathlib import Path
from pipeline.datasets.lazy_sequences import LazyTracks, Names
from pipeline.datasets.track import Track
from pipeline.ingestion import plan
def peak_mib():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before, root, count = peak_mib(), Path("/data"), int(sys.argv[1])
names = Names(f"folder-{n % 1000:04d}/recording-{n:08d}.flac" for n in range(count))
rows = plan.plan_rows(LazyTracks(names, lambda name: Track(name, root / name, name, bound_seconds=3.0)), root)
print(len(rows), peak_mib() - before)
"""


def test_names_are_sorted_also_if_they_are_not_utf_8():
    words = ["b.wav", "a/z.wav", "\udcff.wav", "é.wav", "a b.wav"]
    names = Names(iter(words))
    assert list(names) == ["a b.wav", "a/z.wav", "b.wav", "é.wav", "\udcff.wav"]
    assert (names[0], names[-1], names[1:3], len(names)) == ("a b.wav", "\udcff.wav", ["a/z.wav", "b.wav"], 5)
    assert list(Names([])) == []


def test_tracks_are_built_when_they_are_used():
    built = []

    def build(name):
        built.append(name)
        return Track(name, Path(name), name)

    tracks = LazyTracks(["a", "b", "c", "d"], build)
    assert len(tracks) == 4
    assert built == []
    assert [track.id for track in tracks] == ["a", "b", "c", "d"]
    assert [track.id for track in tracks[1:]] == ["b", "c", "d"]
    assert [track.id for track in tracks[::-1]] == ["d", "c", "b", "a"]
    assert tracks[1:][np.int64(1)].id == "c"
    with pytest.raises(IndexError):
        tracks[4]


def test_a_folder_is_listed_without_a_track_for_each_file(tmp_path):
    for name in ("b.wav", "a.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    assert isinstance(folder.tracks(tmp_path).tracks, LazyTracks)


@pytest.mark.slow
def test_a_hundred_thousand_files_are_planned_in_120_mib():
    command = [sys.executable, "-c", MEMORY, "100000"]
    root = Path(__file__).parents[3]
    rows, mib = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout.split()
    assert int(rows) == 100_000
    assert float(mib) < 120
