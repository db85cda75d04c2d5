"""A cluster on this machine that only its own process can use.

Whoever can speak to a Dask scheduler, worker or nanny can run code as its user. Processes speak through TLS with
credentials that are made for one cluster and exist only in memory. Dask also serves HTTP, even without a dashboard, and
these servers are left out.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

import dask
from distributed import Nanny, Scheduler, SpecCluster, Worker
from distributed.security import Security

from pipeline.cluster.machine import IDLE_WORKER_BYTES, available_bytes, total_bytes, usable_cpus

_HOST = "127.0.0.1"
_SETTINGS = {
    "distributed.worker.daemon": False,
    # One worker may die for a reason of its own. If a second worker dies with the same task, the task is the reason.
    "distributed.scheduler.allowed-failures": 1,
    "distributed.worker.profile.enabled": False,  # samples the task's stack 100 times a second: 8 % of the task's time
    "distributed.worker.memory.target": False,  # results are small, and nothing is written to a shared temporary folder
    "distributed.worker.memory.spill": False,
    # With Dask's intervals, servers that only wait take 7 % of a core from two workers, and with these 1.5 %.
    "distributed.admin.tick.interval": "500ms",  # 20 ms
    "distributed.admin.system-monitor.interval": "2s",  # 500 ms
    "distributed.worker.memory.monitor-interval": "500ms",  # 100 ms; a worker over its limit is ended
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # Dask makes glibc return every freed 64 KiB to the system at once. Blocks of samples are larger, so workers spent
    # a third of their time on requesting and returning pages. They may keep 64 MiB, and map only blocks over 16 MiB.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 64 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 16 << 20,
}


class PrivateScheduler(Scheduler):  # type: ignore[misc]  # distributed has no type hints
    """A scheduler without an HTTP server."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Start nothing."""


class PrivateWorker(Worker):  # type: ignore[misc]
    """A worker without an HTTP server."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Start nothing."""


def default_workers() -> int:
    """Return the number of workers to start: one for each usable CPU, and no more than the memory can hold."""
    return max(1, min(usable_cpus(), available_bytes() // IDLE_WORKER_BYTES))


@contextlib.contextmanager
def start_processes(workers: int) -> Iterator[SpecCluster]:
    """Yield a new cluster of processes with one thread each, and end it."""
    security = Security.temporary()
    options = {
        "worker_class": PrivateWorker,
        "nthreads": 1,
        "memory_limit": total_bytes() // workers,
        "host": _HOST,
        "protocol": "tls://",
        "security": security,
        "silence_logs": logging.CRITICAL,
    }
    with _start(Nanny, workers, options, security) as cluster:
        yield cluster


@contextlib.contextmanager
def start_threads(threads: int) -> Iterator[SpecCluster]:
    """Yield a new cluster of one worker in this process, which listens on no port, and end it."""
    options = {"nthreads": threads, "memory_limit": total_bytes(), "protocol": "inproc://"}
    with _start(PrivateWorker, 1, options, None) as cluster:
        yield cluster


@contextlib.contextmanager
def _start(kind: type, workers: int, options: dict[str, Any], security: Security | None) -> Iterator[SpecCluster]:
    scheduler = {"dashboard": False, "protocol": options["protocol"], "host": options.get("host"), "security": security}
    with dask.config.set(_SETTINGS):
        with _blocked_interrupts():
            cluster = SpecCluster(
                workers={number: {"cls": kind, "options": options} for number in range(workers)},
                scheduler={"cls": PrivateScheduler, "options": scheduler},
                security=security,
                silence_logs=logging.CRITICAL,  # `run_all` raises the errors that matter, and the command reports them
            )
        with cluster:
            yield cluster


@contextlib.contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Start threads and processes in the body that do not receive Ctrl-C and SIGHUP of a terminal.

    This process ends them itself. If they received Ctrl-C too, each would print a traceback. Threads and processes
    inherit the blocked signals of the thread that starts them, and so do the processes that replace dead workers.
    SIGTERM is not blocked, because Dask ends workers with it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        _start_resource_tracker()  # multiprocessing would start it later, and would unblock Ctrl-C when it does
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_resource_tracker() -> None:
    """Start the process that frees semaphores, without its warning that it does so for a process that was killed."""
    sys.warnoptions.append("ignore:resource_tracker")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove("ignore:resource_tracker")
