"""Tests of local clusters: only their own process can use them, and scripts without a main guard can start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import synthetic_audio

import pipeline
from pipeline.cluster import local
from pipeline.cluster.client import connect

ROOT = Path(pipeline.__file__).parents[1]
NOBODY = 65_534
# Tries each address without TLS, with credentials of its own, and, as a control, with the credentials of the cluster.
INTRUDER = """
import asyncio, json, os, sys
import dask
from distributed.core import connect
from distributed.security import Security

async def identity(address, security):
    arguments = security.get_connection_args("client") if security else {}
    comm = await connect(address, timeout=3, **arguments)
    await comm.write({"op": "identity", "reply": True})
    answer = await asyncio.wait_for(comm.read(), 3)
    comm.abort()
    return answer["id"]

async def answers(address, security):
    try:
        return bool(await identity(address, security))
    except Exception as error:
        return f"{type(error).__name__}: {error}"

async def main():
    job = json.load(sys.stdin)
    true, own = Security(require_encryption=True, **job["credentials"]), Security.temporary()
    for scheme in ("tcp", "tls"):  # imports what the other user perhaps cannot read; nothing listens on this port
        await answers(f"{scheme}://127.0.0.1:1", own)
    os.setgroups([])
    os.setgid(job["user"])
    os.setuid(job["user"])
    half = Security(require_encryption=True, **{**job["credentials"], "tls_client_cert": own.tls_client_cert,
                                                "tls_client_key": own.tls_client_key})
    results = {"uid": os.getuid()}
    for address in job["addresses"]:
        plain = address.replace("tls://", "tcp://")
        results[address] = {"plain": await answers(plain, None), "own": await answers(address, own),
                            "half": await answers(address, half), "true": await answers(address, true)}
    print(json.dumps(results))

asyncio.run(main())
"""


def _listening(process):
    own = [*process.children(recursive=True), process]
    found = [connection for one in own for connection in one.net_connections("inet")]
    return {connection.laddr for connection in found if connection.status == psutil.CONN_LISTEN}


def _address(place):
    return f"tls://{place.ip}:{place.port}"


def test_only_addresses_with_tls_listen_and_only_on_the_loopback_interface():
    before = _listening(psutil.Process())
    with connect("processes", 2) as client:
        workers = client.scheduler_info()["workers"]
        known = {client.scheduler.address, *workers, *(worker["nanny"] for worker in workers.values())}
        assert len(known) == 5
        assert {_address(place) for place in _listening(psutil.Process()) - before} == known
        assert {address[:16] for address in known} == {"tls://127.0.0.1:"}


def test_threads_listen_on_no_port():
    before = _listening(psutil.Process())
    with connect("threads", 2):
        assert _listening(psutil.Process()) == before


def test_servers_that_wait_do_little_on_a_timer():
    with connect("threads", 1) as client:
        for server in (client.cluster.scheduler, *client.cluster.workers.values()):
            calls_per_second = {name: 1e3 / timer.callback_time for name, timer in server.periodic_callbacks.items()}
            assert sum(calls_per_second.values()) < 15, calls_per_second


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process as another user")
def test_another_user_can_use_neither_scheduler_nor_worker_nor_nanny():
    with connect("processes", 1) as client:
        workers = client.scheduler_info()["workers"]
        addresses = [client.scheduler.address, *workers, *(worker["nanny"] for worker in workers.values())]
        names = ("tls_ca_file", "tls_client_cert", "tls_client_key")
        job = {
            "user": NOBODY,
            "addresses": addresses,
            "credentials": {name: getattr(client.security, name) for name in names},
        }
        done = subprocess.run(
            [sys.executable, "-c", INTRUDER],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        results = json.loads(done.stdout)
        assert results.pop("uid") == NOBODY
        assert set(results) == set(addresses)
        for address, answers in results.items():
            assert answers.pop("true") is True, (address, "the attempts do not fail for another reason")
            assert all(isinstance(answer, str) for answer in answers.values()), (address, answers)


SCRIPT = """
import sys
from pipeline import ingest
print("the script runs", flush=True)
status = ingest.main(["folder", "--root", sys.argv[1], "--store", sys.argv[2], "--workers", "2"])
print("the status is", status, flush=True)
"""


@pytest.mark.slow
def test_an_ingest_of_a_script_without_a_main_guard_runs_once(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    synthetic_audio.write(tmp_path / "music" / "a.wav", synthetic_audio.chords(1.0))
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "music"), str(tmp_path / "m.zarr")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("the script runs", "the status is 0")
    assert lines.count("the script runs") == 1


def test_workers_are_as_many_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr(local, "usable_cpus", lambda: 8)
    monkeypatch.setattr(local, "available_bytes", lambda: 100 * local.IDLE_WORKER_BYTES)
    assert local.default_workers() == 8
    monkeypatch.setattr(local, "available_bytes", lambda: int(3.5 * local.IDLE_WORKER_BYTES))
    assert local.default_workers() == 3
    monkeypatch.setattr(local, "available_bytes", lambda: 0)
    assert local.default_workers() == 1
