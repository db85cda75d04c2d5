"""An ingest of over 300 bad files stores or rejects each of them with a reason, and stores the good files among them.

Another test fuzzes with a seed for a minute (`MYNA_TEST_FUZZ_SECONDS`, `MYNA_TEST_FUZZ_SEED`). It includes real
recordings if MYNA_TEST_RECORDINGS names a folder of them.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import hostile_files
import pytest
import synthetic_audio

from pipeline import ingest
from stores.errors import REJECTION_REASONS
from stores.mel_store import MelStore

pytestmark = pytest.mark.slow
ROOT = Path(ingest.__file__).parents[1]
FUZZ_SECONDS = float(os.environ.get("MYNA_TEST_FUZZ_SECONDS", "60"))
FUZZ_SEED = int(os.environ.get("MYNA_TEST_FUZZ_SEED", "0"))
RECORDINGS = os.environ.get("MYNA_TEST_RECORDINGS", "")
FUZZ_BATCH = 150
MAX_FUZZED_BYTES = 1 << 18


def _ingest(root, store, scratch):
    """Ingest with worker processes, check that no temporary file is left in `scratch`, and return the store."""
    scratch.mkdir()
    words = ["folder", "--root", str(root), "--store", str(store), "--workers", "2", "--decode-seconds", "30"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.ingest", *words],
        capture_output=True,
        timeout=400,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    assert b"Traceback" not in done.stderr
    assert [path.name for path in scratch.iterdir() if path.name != "dask-scratch-space"] == []
    return MelStore.open(store)


def _assert_stored_or_rejected(store, names):
    assert {row.id for row in store.rows} == names
    for row in store.rows:
        if row.state == "written":
            assert store.clip(row.index).shape == (128, row.frames)
        else:
            assert row.state == "refused"
            assert row.reason in REJECTION_REASONS
            assert row.detail, row.id


def test_each_bad_file_is_stored_or_rejected_and_every_good_file_is_stored(tmp_path):
    music = tmp_path / "music"
    valid = hostile_files.originals(tmp_path / "valid")
    music.mkdir()
    bad = hostile_files.truncations(valid) | hostile_files.flips_and_splices(valid) | hostile_files.without_audio()
    bad |= hostile_files.false_headers(valid[".wav"], valid[".flac"])
    for name, content in bad.items():
        (music / name).write_bytes(content)
    odd = hostile_files.odd_audio(music)
    good = {f"good{suffix}": content for suffix, content in valid.items()}
    good |= dict.fromkeys(hostile_files.GOOD_NAMES, valid[".wav"]) | {
        "cover.mp3": hostile_files.with_cover(valid[".mp3"])
    }
    for name, content in good.items():
        (music / name).write_bytes(content)
    (music / os.fsdecode(b"caf\xe9.wav")).write_bytes(valid[".wav"])
    hostile_files.links_and_pipes(music, tmp_path / "valid" / "x.wav")
    count = len(bad) + len(odd)
    print(f"{count} bad or unusual files among {len(good)} good files")
    assert count >= 300
    store = _ingest(music, tmp_path / "m.zarr", tmp_path / "scratch")
    names = {*bad, *odd, *good, "link-to-good.wav", r"b'caf\xe9.wav'"}
    _assert_stored_or_rejected(store, names)
    rows = {row.id: row for row in store.rows}
    assert {name for name in (*good, "link-to-good.wav") if rows[name].state != "written"} == set()
    assert {name for name, storable in odd.items() if (rows[name].state == "written") != storable} == set()
    for reason, name in {
        "bad_name": r"b'caf\xe9.wav'",
        "no_audio": "no-sample.wav",
        "too_short": "one-sample.wav",
        "silent": "hour-of-silence.flac",
        "not_finite": "nan.wav",
        "unreadable": "text.mp3",
    }.items():
        assert rows[name].reason == reason
    expected = store.codes(rows["good.wav"].index)
    for name in hostile_files.GOOD_NAMES:
        assert (store.codes(rows[name].index) == expected).all()


def _fuzz_seed_files(folder):
    """Return the contents of the files that are changed: synthesized audio, and the beginnings of real recordings."""
    contents = list(hostile_files.originals(folder).values())
    real = sorted(path for path in Path(RECORDINGS).rglob("*") if path.is_file()) if RECORDINGS else []
    random.Random(FUZZ_SEED).shuffle(real)
    for path in real[:20]:
        with path.open("rb") as file:
            contents.append(file.read(MAX_FUZZED_BYTES))
    print(f"fuzz: seed {FUZZ_SEED}, {len(contents)} seed files, {len(real[:20])} of them real recordings")
    return contents


def test_fuzzed_files_do_not_crash_the_ingest(tmp_path):
    contents, rng = _fuzz_seed_files(tmp_path / "valid"), random.Random(FUZZ_SEED)
    end, total, stored = time.monotonic() + FUZZ_SECONDS, 0, 0
    while time.monotonic() < end:
        music = tmp_path / "music"
        music.mkdir()
        synthetic_audio.write(music / "good.flac", synthetic_audio.chords(2.0))
        names = {"good.flac"}
        for number in range(FUZZ_BATCH):
            name = f"{number}{rng.choice(hostile_files.SUFFIXES)}"
            (music / name).write_bytes(hostile_files.mutate(contents, rng))
            names.add(name)
        store = _ingest(music, tmp_path / "m.zarr", tmp_path / "scratch")
        _assert_stored_or_rejected(store, names)
        rows = {row.id: row for row in store.rows}
        assert rows["good.flac"].state == "written"
        assert not [row for row in store.rows if row.reason in ("crashed", "timeout")], (
            "a decoder crashed or hung; examine these files"
        )
        total, stored = total + FUZZ_BATCH, stored + sum(row.state == "written" for row in store.rows) - 1
        for folder in ("music", "m.zarr", "scratch"):
            shutil.rmtree(tmp_path / folder)
    print(f"fuzz: {total} files, {stored} of them stored, all others rejected with a reason")
    assert total >= FUZZ_BATCH
