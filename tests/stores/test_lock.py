"""One writer at a time: the second one is told who the first is, and a dead one is in nobody's way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stores import lock
from stores.errors import InvalidInput
from stores.lock import lock_file, locked

ROOT = Path(lock.__file__).parents[1]
HOLD = """
import sys, time
from pathlib import Path
from stores.lock import locked
with locked(Path(sys.argv[1])):
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


def test_the_lock_says_who_holds_it_and_goes_with_them(tmp_path):
    with locked(tmp_path / "new" / "x.zarr"):
        file = lock_file(tmp_path / "new" / "x.zarr")
        assert json.loads(file.read_text()) == {"pid": os.getpid(), "host": socket.gethostname()}
    assert not file.exists()


def test_a_second_writer_is_refused_with_the_pid_and_host_of_the_first(tmp_path, holder):
    with (
        pytest.raises(
            InvalidInput, match=f"process {holder.pid} on host {socket.gethostname()}; wait for it or stop it"
        ),
        locked(tmp_path / "x.zarr"),
    ):
        pass
    with locked(tmp_path / "y.zarr"):  # others are free
        pass
    assert holder.poll() is None


def test_two_in_one_process_are_two(tmp_path):
    with (
        locked(tmp_path / "x.zarr"),
        pytest.raises(InvalidInput, match="is being written"),
        locked(tmp_path / "x.zarr"),
    ):
        pass


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert lock_file(tmp_path / "x.zarr").exists()
    with locked(tmp_path / "x.zarr"):
        assert json.loads(lock_file(tmp_path / "x.zarr").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "host": 1}', '{"pid": 7}'])
def test_a_lock_file_that_was_not_written_to_its_end_is_nobodys(tmp_path, content):
    lock_file(tmp_path / "x.zarr").write_text(content)
    with locked(tmp_path / "x.zarr"):
        pass


def test_the_lock_of_another_host_is_refused_with_what_to_do(tmp_path):
    file = lock_file(tmp_path / "x.zarr")
    file.write_text(json.dumps({"pid": os.getpid(), "host": "elsewhere"}))
    with (
        pytest.raises(InvalidInput, match=rf"on host elsewhere, .*remove {file} and start again"),
        locked(tmp_path / "x.zarr"),
    ):
        pass
    assert file.exists()


@pytest.mark.parametrize("alive", [True, False])
def test_where_the_file_system_knows_no_locks_the_process_is_asked_for(tmp_path, monkeypatch, alive):
    monkeypatch.setattr(lock.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(lock.errno.ENOTSUP, "no locks")))
    ended = subprocess.Popen(["true"])
    ended.wait()
    pid = os.getppid() if alive else ended.pid
    lock_file(tmp_path / "x.zarr").write_text(json.dumps({"pid": pid, "host": socket.gethostname()}))
    if alive:
        with pytest.raises(InvalidInput, match=f"process {pid}"), locked(tmp_path / "x.zarr"):
            pass
    else:
        with locked(tmp_path / "x.zarr"):
            pass


def test_of_many_who_want_it_at_once_one_has_it(tmp_path):
    inside, most, refused = [], [], []

    def want():
        for _ in range(100):
            try:
                with locked(tmp_path / "x.zarr"):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except InvalidInput:
                refused.append(1)

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert len(most) + len(refused) == 800


def test_a_place_where_nobody_may_write_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="choose a place where you may write"), locked(tmp_path / "file" / "x.zarr"):
        pass
