"""Ingest and sharding report full disks, changed sources, read-only folders and Ctrl-C clearly, and can continue."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import synthetic_audio
from small_disk import small_disk

from pipeline import ingest, shard
from pipeline.audio.decode import decode_stream
from pipeline.cluster.client import connect
from pipeline.datasets import folder
from pipeline.ingestion import recording
from pipeline.ingestion.build import Build
from pipeline.ingestion.progress import IngestProgress
from stores.errors import MissingArtifact
from stores.mel_store import MelStore

ROOT = Path(ingest.__file__).parents[1]


def _command(music, store, *more):
    return [sys.executable, "-m", "pipeline.ingest", "folder", "--root", str(music), "--store", str(store), *more]


def _ingest_undisturbed(music, store):
    """Ingest in this process without any fault, and return the store."""
    words = ["folder", "--root", str(music), "--store", str(store), "--scheduler", "threads", "--workers", "2"]
    assert ingest.main(words) == 0
    return MelStore.open(store)


def _assert_same(store, expected):
    assert store.rows == expected.rows
    for row in [row for row in expected.rows if row.state == "written"]:
        np.testing.assert_array_equal(store.codes(row.index), expected.codes(row.index))


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Return a folder of 40 recordings of 10 s of noise, which compresses worst."""
    root = tmp_path_factory.mktemp("music")
    for number in range(40):
        synthetic_audio.write(root / f"{number:02}.wav", synthetic_audio.noise(10.0, seed=number))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_a_full_disk_is_reported_and_the_store_can_be_opened_and_completed(music, tmp_path, scheduler):
    expected = _ingest_undisturbed(music, tmp_path / "whole.zarr")
    with small_disk(tmp_path / "disk", 700_000):
        store = tmp_path / "disk" / "m.zarr"
        command = _command(music, store, "--scheduler", scheduler, "--workers", "2")
        ingest_result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
        assert ingest_result.returncode == 2
        assert "No space left on device" in ingest_result.stderr.splitlines()[-1]
        assert "free some disk space, then start the same command again" in ingest_result.stderr.splitlines()[-1]
        assert "Traceback" not in ingest_result.stderr
        states = {row.state for row in MelStore.open(store, complete=False).merged_rows()}
        assert "refused" not in states
        assert "planned" in states
        subprocess.run(["mount", "-o", "remount,size=64m", str(tmp_path / "disk")], check=True)
        assert subprocess.run(command, capture_output=True, cwd=ROOT, timeout=120).returncode == 0
        _assert_same(MelStore.open(store), expected)


@pytest.mark.slow
def test_a_file_size_limit_is_reported_like_a_full_disk(music, tmp_path):
    ingest_result = subprocess.run(
        _command(music, tmp_path / "m.zarr", "--scheduler", "threads", "--workers", "2"),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert ingest_result.returncode == 2
    assert "File too large" in ingest_result.stderr.splitlines()[-1]
    assert "Traceback" not in ingest_result.stderr


def test_a_full_disk_while_sharding_is_reported_and_leaves_no_index(music, tmp_path, capsys):
    store = _ingest_undisturbed(music, tmp_path / "m.zarr")
    with small_disk(tmp_path / "disk", 200_000):
        (tmp_path / "disk" / "m.shards").mkdir()
        (tmp_path / "m.shards").symlink_to(tmp_path / "disk" / "m.shards")
        assert shard.main([str(store.path)]) == 2
        assert "No space left on device" in capsys.readouterr().err
        assert [path.name for path in (tmp_path / "m.shards").iterdir()] == []


@pytest.mark.parametrize("command", ["ingest", "shard"])
def test_a_read_only_location_is_reported(music, tmp_path, capsys, command):
    store = _ingest_undisturbed(music, tmp_path / "m.zarr") if command == "shard" else None
    with small_disk(tmp_path / "disk", 8_000_000):
        if store:
            store.path.rename(tmp_path / "m")
            subprocess.run(["cp", "-r", str(tmp_path / "m"), str(tmp_path / "disk" / "m.zarr")], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "disk")], check=True)
        words = ["folder", "--root", str(music), "--store"] if command == "ingest" else []
        main = ingest.main if command == "ingest" else shard.main
        assert main([*words, str(tmp_path / "disk" / "m.zarr")]) == 2
    message = capsys.readouterr().err
    assert "Read-only file system" in message
    assert "choose a place where you may write" in message


def _plan(music, path, client):
    build = Build("folder", Path(music), path)
    return build, build.create_or_update(build.plan_manifest(folder.tracks(music).tracks, client))


@pytest.fixture
def five_recordings(tmp_path):
    """Return a folder of five recordings that a test may change."""
    for number in range(5):
        synthetic_audio.write(tmp_path / "five_recordings" / f"{number}.wav", synthetic_audio.chords(2.0, seed=number))
    return tmp_path / "five_recordings"


def test_a_file_that_vanishes_midway_is_rejected_and_its_neighbors_are_stored(five_recordings, tmp_path):
    with connect("threads", 2) as client:
        build, store = _plan(five_recordings, tmp_path / "m.zarr", client)
        (five_recordings / "3.wav").unlink()
        rows = build.run(store, client, IngestProgress())
    assert [row.state for row in rows] == ["written"] * 3 + ["refused", "written"]
    assert rows[3].reason == "missing"


def test_a_file_that_grows_while_it_is_read_is_rejected_until_it_is_complete(five_recordings, tmp_path, monkeypatch):
    def decode_and_grow(path, *rest):
        result = decode_stream(path, *rest)
        if path.name == "1.wav":
            with path.open("ab") as file:
                file.write(b"more")
        return result

    with monkeypatch.context() as context:
        context.setattr(recording, "decode_stream", decode_and_grow)
        rows = _ingest_undisturbed(five_recordings, tmp_path / "m.zarr").rows
    assert (rows[1].state, rows[1].reason) == ("refused", "changed")
    assert "ingest it when it is complete" in rows[1].detail
    words = ["folder", "--root", str(five_recordings), "--store", str(tmp_path / "m.zarr"), "--scheduler", "threads"]
    assert ingest.main([*words, "--retry-refused"]) == 0
    assert {row.state for row in MelStore.open(tmp_path / "m.zarr").rows} == {"written"}


@pytest.mark.parametrize("leaves_mount_point", [False, True])
def test_a_disk_unplugged_midway_stops_the_run_and_no_clip_is_rejected(five_recordings, tmp_path, leaves_mount_point):
    expected = _ingest_undisturbed(five_recordings, tmp_path / "whole.zarr")
    with connect("threads", 2) as client:
        build, store = _plan(five_recordings, tmp_path / "m.zarr", client)
        five_recordings.rename(tmp_path / "unplugged")
        if leaves_mount_point:
            five_recordings.mkdir()
        with pytest.raises(MissingArtifact, match="gone or empty; mount it again"):
            build.run(store, client, IngestProgress())
        assert {row.state for row in MelStore.open(store.path, complete=False).merged_rows()} == {"planned"}
        if leaves_mount_point:
            five_recordings.rmdir()
        (tmp_path / "unplugged").rename(five_recordings)
        build.run(
            build.create_or_update(build.plan_manifest(folder.tracks(five_recordings).tracks, client)),
            client,
            IngestProgress(),
        )
    _assert_same(MelStore.open(store.path), expected)


def test_rejected_clips_are_retried_only_on_request(five_recordings, tmp_path, capsys):
    good = (five_recordings / "2.wav").read_bytes()
    (five_recordings / "2.wav").write_bytes(good[:30])
    before = _ingest_undisturbed(five_recordings, tmp_path / "m.zarr").rows
    assert before[2].state == "refused"
    (five_recordings / "2.wav").write_bytes(good)
    assert _ingest_undisturbed(five_recordings, tmp_path / "m.zarr").rows == before
    words = ["folder", "--root", str(five_recordings), "--store", str(tmp_path / "m.zarr"), "--scheduler", "threads"]
    assert ingest.main([*words, "--retry-refused"]) == 0
    after = MelStore.open(tmp_path / "m.zarr")
    assert after.rows[2].state == "written"
    assert [row for row in after.rows if row.index != 2] == [row for row in before if row.index != 2]
    whole = _ingest_undisturbed(five_recordings, tmp_path / "whole.zarr")
    np.testing.assert_array_equal(after.codes(2), whole.codes(2))
    assert after.digest() == whole.digest()


@pytest.mark.slow
def test_a_second_ingest_into_the_same_store_fails_while_the_first_runs(music, tmp_path, capsys):
    store = tmp_path / "m.zarr"
    first = subprocess.Popen(
        _command(music, store, "--scheduler", "threads", "--workers", "1"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not store.exists():
        time.sleep(0.01)
    words = ["folder", "--root", str(music), "--store", str(store), "--scheduler", "threads"]
    assert ingest.main(words) == 2
    assert f"m.zarr is being written by process {first.pid} on host " in capsys.readouterr().err
    assert first.wait(120) == 0
    assert {row.state for row in MelStore.open(store).rows} == {"written"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheduler", "number", "status", "words"),
    [
        ("threads", signal.SIGINT, 130, "stopped; "),
        ("processes", signal.SIGINT, 130, "stopped; "),
        ("processes", signal.SIGTERM, 143, "stopped by SIGTERM; "),
        ("processes", signal.SIGHUP, 129, "stopped by SIGHUP; "),
    ],
)
def test_ctrl_c_and_signals_stop_within_seconds_and_say_how_to_continue(tmp_path, scheduler, number, status, words):
    music = tmp_path / "music"
    synthetic_audio.write(music / "0.flac", synthetic_audio.noise(900.0, 44_100), 44_100)
    for copy in range(1, 40):
        (music / f"{copy}.flac").hardlink_to(music / "0.flac")
    store = tmp_path / "m.zarr"
    command = _command(music, store, "--scheduler", scheduler, "--workers", "2")
    (tmp_path / "scratch").mkdir()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}

    def accept_signal():
        signal.signal(number, signal.SIG_DFL)  # it may be ignored here, as SIGHUP is below `nohup`

    own_group = {"start_new_session": True, "preexec_fn": accept_signal}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **own_group, **pipes)
    while not store.exists():
        time.sleep(0.05)
    time.sleep(2)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)  # a terminal sends the signal to the whole process group, and `timeout` does, too
    start = time.perf_counter()
    output, errors = process.communicate(timeout=100)
    seconds = time.perf_counter() - start
    print(f"{scheduler}: stopped {seconds:.1f} s after {number.name}")
    assert process.returncode == status
    assert errors.splitlines()[-1].startswith(words)
    assert "start the same command again to continue" in errors.splitlines()[-1]
    assert re.search(r"  finished so far: \d+ of 40 clips\n", output)
    assert "Traceback" not in errors
    # a thread cannot be stopped before its recording is finished
    assert seconds < (20 if scheduler == "processes" else 60)
    assert psutil.wait_procs(children, timeout=10)[1] == []  # the last process removes the temporary files of all
    assert not list((tmp_path / "scratch").glob("myna-*"))
    assert MelStore.open(store, complete=False).rows
