"""Write locks: a second writer is told which process holds the lock, and an ended process blocks nobody."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stores import lock
from stores.errors import InvalidInput
from stores.lock import lock_file, write_lock

ROOT = Path(lock.__file__).parents[1]
HOLD = """
import sys, time
from pathlib import Path
from stores.lock import write_lock
with write_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `x.zarr`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "x.zarr")], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_file_states_its_holder_and_is_removed_at_the_end(tmp_path):
    with write_lock(tmp_path / "new" / "x.zarr"):
        file = lock_file(tmp_path / "new" / "x.zarr")
        holder = json.loads(file.read_text())
        assert abs(holder.pop("since_unix_seconds") - time.time()) < 60
        assert holder == {"pid": os.getpid(), "host": socket.gethostname()}
    assert not file.exists()


def test_a_second_writer_gets_the_process_id_the_host_and_the_start_of_the_first(tmp_path, holder):
    since = time.strftime("%Y-%m-%d %H:", time.gmtime(lock_file(tmp_path / "x.zarr").stat().st_mtime))
    process = f"process {holder.pid} on host {socket.gethostname()}"
    with (
        pytest.raises(InvalidInput, match=rf"{process} since {since}\d\d:\d\d UTC; wait for it or stop it"),
        write_lock(tmp_path / "x.zarr"),
    ):
        pass
    with write_lock(tmp_path / "y.zarr"):  # other locks are free
        pass
    assert holder.poll() is None


def test_two_locks_in_one_process_exclude_each_other(tmp_path):
    with (
        write_lock(tmp_path / "x.zarr"),
        pytest.raises(InvalidInput, match="is being written"),
        write_lock(tmp_path / "x.zarr"),
    ):
        pass


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert lock_file(tmp_path / "x.zarr").exists()
    with write_lock(tmp_path / "x.zarr"):
        assert json.loads(lock_file(tmp_path / "x.zarr").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "host": 1}', '{"pid": 7}'])
def test_an_incomplete_lock_file_has_no_holder(tmp_path, content):
    lock_file(tmp_path / "x.zarr").write_text(content)
    with write_lock(tmp_path / "x.zarr"):
        pass


def test_the_lock_of_another_host_is_an_error_that_says_what_to_do(tmp_path):
    file = lock_file(tmp_path / "x.zarr")
    file.write_text(json.dumps({"pid": os.getpid(), "host": "elsewhere"}))
    with (
        pytest.raises(InvalidInput, match=rf"on host elsewhere, .*remove {file} and start again"),
        write_lock(tmp_path / "x.zarr"),
    ):
        pass
    assert file.exists()


@pytest.mark.parametrize("alive", [True, False])
def test_without_locks_of_the_file_system_the_process_id_decides(tmp_path, monkeypatch, alive):
    monkeypatch.setattr(lock.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(lock.errno.ENOTSUP, "no locks")))
    ended = subprocess.Popen(["true"])
    ended.wait()
    pid = os.getppid() if alive else ended.pid
    lock_file(tmp_path / "x.zarr").write_text(json.dumps({"pid": pid, "host": socket.gethostname()}))
    if alive:
        with pytest.raises(InvalidInput, match=f"process {pid}"), write_lock(tmp_path / "x.zarr"):
            pass
    else:
        with write_lock(tmp_path / "x.zarr"):
            pass


def test_of_many_threads_only_one_holds_the_lock(tmp_path):
    inside, counts, failures = [], [], []

    def acquire_often():
        for _ in range(100):
            try:
                with write_lock(tmp_path / "x.zarr"):
                    inside.append(1)
                    counts.append(len(inside))
                    inside.pop()
            except InvalidInput:
                failures.append(1)

    threads = [threading.Thread(target=acquire_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(counts) == {1}
    assert len(counts) + len(failures) == 800


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InvalidInput, match="choose a place where you may write"),
        write_lock(tmp_path / "file" / "x.zarr"),
    ):
        pass
