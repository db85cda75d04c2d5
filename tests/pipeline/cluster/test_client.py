"""Tests of the Dask client: threads, processes, running schedulers with and without TLS, and the errors of each."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import dask
import pytest
from distributed.security import Security

from pipeline.cluster.client import connect, count_threads
from pipeline.cluster.config import TlsSettings
from pipeline.cluster.tasks import run_all
from stores.errors import DecodeError, InvalidInput

BARRIERS = []


def _square(number):
    return number, number * number


def _process_of(number):
    time.sleep(0.05)
    return number, os.getpid()


def _fail_at_three(number):
    if number == 3:
        raise DecodeError("too_short", "three")
    return number


@pytest.fixture(scope="module")
def threads():
    with connect("threads", 2) as client:
        yield client


def test_tasks_run_at_the_same_time(threads):
    barrier = threading.Barrier(2, timeout=20)
    BARRIERS.append(barrier)  # shared by the threads
    assert sorted(run_all(threads, _meet, range(2))) == [0, 1]


def _meet(number):
    BARRIERS[0].wait()
    return number


@pytest.mark.parametrize(("single_thread", "count"), [(False, 3), (True, 1)])
def test_tasks_with_threads_of_their_own_get_a_single_worker_thread(single_thread, count):
    with connect("threads", 3, single_thread=single_thread) as client:
        assert count_threads(client) == count
        assert sorted(run_all(client, _square, range(5))) == [(n, n * n) for n in range(5)]


def test_processes_run_tasks_and_are_ended():
    with connect("processes", 2, single_thread=True) as client:
        results = dict(run_all(client, _process_of, range(20)))
        assert sorted(results) == list(range(20))
        workers = set(results.values())
        assert os.getpid() not in workers
        assert len(workers) == 2
        with pytest.raises(DecodeError, match="too_short: three"):
            list(run_all(client, _fail_at_three, range(10)))
        assert list(run_all(client, _square, [4])) == [(4, 16)]  # which still runs
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


@pytest.mark.parametrize("scheduler", ["", "fork", "localhost:8786", "Threads"])
def test_the_error_for_an_unknown_scheduler_lists_the_known_ones(scheduler):
    with (
        pytest.raises(InvalidInput, match="use processes, threads, tcp://HOST:PORT or tls://HOST:PORT"),
        connect(scheduler),
    ):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://nonsense"])
def test_the_error_for_a_scheduler_that_does_not_answer_names_its_address(address):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.3s"}),
        pytest.raises(InvalidInput, match=f"no Dask scheduler answers at {address}"),
        connect(address),
    ):
        pass


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_is_an_error(workers):
    with pytest.raises(InvalidInput, match="--workers must be at least 1"), connect("threads", workers):
        pass


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _write_credentials(folder):
    """Write new credentials as the files of a cluster, and return them as settings."""
    folder.mkdir(exist_ok=True)
    made = Security.temporary()
    files = {"ca.pem": made.tls_ca_file, "cert.pem": made.tls_client_cert, "key.pem": made.tls_client_key}
    for name, content in files.items():
        (folder / name).write_text(content)
    return TlsSettings(tls_ca_file=folder / "ca.pem", tls_cert=folder / "cert.pem", tls_key=folder / "key.pem")


@pytest.fixture
def tls_scheduler(tmp_path):
    """Address and credentials of a scheduler with one worker, both processes of their own."""
    tls = _write_credentials(tmp_path / "tls")
    address = f"tls://127.0.0.1:{_free_port()}"
    words = ["--tls-ca-file", str(tls.tls_ca_file), "--tls-cert", str(tls.tls_cert), "--tls-key", str(tls.tls_key)]
    words += ["--host", address.rsplit(":", 1)[0], "--no-dashboard"]
    port = address.rsplit(":", 1)[1]
    commands = [
        ["distributed.cli.dask_scheduler", *words, "--port", port],
        ["distributed.cli.dask_worker", address, *words, "--nthreads", "1", "--local-directory", str(tmp_path)],
    ]
    started = [
        subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for words in commands
    ]
    yield address, tls
    for process in started:
        process.terminate()
    for process in started:
        process.wait(20)


@pytest.mark.slow
def test_a_scheduler_with_tls_is_used_with_its_credentials_and_with_no_others(tls_scheduler, tmp_path):
    address, tls = tls_scheduler
    with dask.config.set({"distributed.comm.timeouts.connect": "60s"}), connect(address, tls=tls) as client:
        client.wait_for_workers(1, timeout=60)
        assert sorted(run_all(client, abs, range(5))) == [0, 1, 2, 3, 4]
    others = _write_credentials(tmp_path / "others")
    for wrong in (others, replace(others, tls_ca_file=tls.tls_ca_file)):
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
            pytest.raises(InvalidInput, match=f"no Dask scheduler answers at {address}"),
            connect(address, tls=wrong),
        ):
            pass


@pytest.mark.parametrize("scheduler", ["processes", "threads", "tcp://127.0.0.1:1"])
def test_credentials_for_a_scheduler_without_tls_are_an_error(tmp_path, scheduler):
    tls = _write_credentials(tmp_path)
    with pytest.raises(InvalidInput, match="are for tls://HOST:PORT"), connect(scheduler, tls=tls):
        pass


def test_credentials_that_are_missing_or_cannot_be_read_are_an_error(tmp_path):
    tls = _write_credentials(tmp_path)
    with pytest.raises(InvalidInput, match="needs --tls-ca-file, --tls-cert"), connect("tls://127.0.0.1:1"):
        pass
    (tmp_path / "text.pem").write_text("text")
    for wrong in (tmp_path / "none.pem", tmp_path / "text.pem"):
        with (
            pytest.raises(InvalidInput, match=r"cannot be used: .* must name files in PEM format"),
            connect("tls://127.0.0.1:1", tls=replace(tls, tls_cert=wrong)),
        ):
            pass
