"""The Dask client that runs the tasks of a command in threads, in processes, or on a running Dask scheduler."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from typing import TypeVar

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, wait

from stores.errors import InvalidInput

Argument = TypeVar("Argument")
Result = TypeVar("Result")

TASKS_PER_THREAD = 4
"""Tasks in flight for each thread of the cluster: no worker waits for work, and the scheduler has little to track."""
MAX_DEATHS = 5
"""Largest number of times that a task is sent again after workers have died with it.

Dask also suspects a task that was only queued on a worker that died, so a task can be suspected without being at fault.
"""
MAX_CHECKS_WITHOUT_WORKERS, CHECK_SECONDS = 5, 60.0
"""Number of checks that find no worker before `run_all` gives up, and the time between two checks in seconds."""
# Dask serves HTTP even without a dashboard: by default on port 8787, which may be taken, and on every interface.
_LOOPBACK = "127.0.0.1:0"
_SETTINGS = {
    "distributed.worker.daemon": False,
    # One worker may die for a reason of its own. If a second worker dies with the same task, the task is the reason.
    "distributed.scheduler.allowed-failures": 1,
    "distributed.worker.profile.enabled": False,  # samples the task's stack 100 times a second: 8 % of the task's time
    # Dask makes glibc return every freed 64 KiB to the system at once. Blocks of samples are larger, so workers spent
    # a third of their time on requesting and returning pages. They may keep 64 MiB, and map only blocks over 16 MiB.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 64 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 16 << 20,
}


@contextlib.contextmanager
def connect(scheduler: str, workers: int | None = None, *, single_thread: bool = False) -> Iterator[Client]:
    """Yield a Dask client, and close the cluster that was started for it.

    Args:
        scheduler: `processes`, `threads`, or the address of a running scheduler, `tcp://HOST:PORT`.
        workers: number of processes or threads to start; one for each core if None; not used with an address.
        single_thread: start only one thread with the scheduler `threads`, for tasks that start threads of their own.

    Raises:
        InvalidInput: `scheduler` is unknown or does not answer, or `workers` is less than one.
    """
    if workers is not None and workers < 1:
        raise InvalidInput(f"--workers must be at least 1 (got {workers})")
    if not is_local(scheduler):
        with _connect_to(scheduler) as client:
            yield client
        return
    if scheduler not in ("processes", "threads"):
        raise InvalidInput(f"scheduler {scheduler!r} is unknown; use processes, threads or tcp://HOST:PORT")
    count = workers or os.cpu_count() or 1
    shape = {"n_workers": count, "threads_per_worker": 1}
    if scheduler == "threads":
        shape = {"n_workers": 1, "threads_per_worker": 1 if single_thread else count}
    with dask.config.set(_SETTINGS), _start(scheduler == "processes", shape) as cluster, Client(cluster) as client:
        yield client


def _start(processes: bool, shape: dict[str, int]) -> LocalCluster:
    """Return a new cluster on this machine whose processes do not receive Ctrl-C.

    This process ends them itself. If they received Ctrl-C too, each would print a traceback. Threads and processes
    inherit the blocked signals of the thread that starts them, and so do the processes that replace dead workers.
    """
    resource_tracker.ensure_running()  # multiprocessing would start it later, and would unblock Ctrl-C when it does
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return LocalCluster(
            processes=processes,
            silence_logs=logging.CRITICAL,  # errors that matter are raised by `run_all`, and the command reports them
            scheduler_kwargs={"dashboard": False, "dashboard_address": _LOOPBACK},
            worker_dashboard_address=_LOOPBACK,
            **shape,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def is_local(scheduler: str) -> bool:
    """Return whether `connect` starts the workers on this machine."""
    return not scheduler.startswith("tcp://")


def count_threads(client: Client) -> int:
    """Return the number of threads of all workers, which is the number of tasks that run at a time."""
    threads: dict[str, int] = client.nthreads()
    return max(1, sum(threads.values()))


def _connect_to(address: str) -> Client:
    try:
        return Client(address)
    except (OSError, ValueError) as error:  # ValueError: the address has no port
        raise InvalidInput(f"no Dask scheduler answers at {address}: {error}") from error


def run_all(
    client: Client,
    task: Callable[[Argument], Result],
    arguments: Iterable[Argument],
    after_death: Callable[[Argument], Result] | None = None,
) -> Iterator[Result]:
    """Yield the result of `task` for each argument, in the order in which tasks finish.

    At most `TASKS_PER_THREAD` tasks for each thread are in flight, so that a million arguments do not slow down the
    scheduler. Arguments and results travel through the scheduler and should be small.

    Args:
        client: the client of the cluster that runs the tasks.
        task: function of one argument.
        arguments: the arguments, which are drawn only when there is room for another task.
        after_death: function that replaces `task` for an argument with which workers have died, as decoders can cause.

    Raises:
        InvalidInput: workers died with a task and also with `after_death`, or there has been no worker for minutes.
        Exception: the exception that a task raised; tasks that have not started are dropped.
    """
    waiting = iter(arguments)
    running: dict[Future, tuple[Argument, int]] = {}

    def submit(argument: Argument, function: Callable[[Argument], Result] = task, deaths: int = 0) -> None:
        """Send a task. The more workers have died with it, the earlier it runs."""
        running[client.submit(function, argument, pure=False, priority=deaths)] = argument, deaths

    for _, argument in zip(range(TASKS_PER_THREAD * count_threads(client)), waiting, strict=False):
        submit(argument)
    while running:
        for future in _wait_for_any(client, list(running)):
            argument, deaths = running.pop(future)
            try:
                result: Result = future.result()
            except KilledWorker as error:
                if deaths == MAX_DEATHS or after_death is None:
                    raise _death_error(error) from error
                submit(argument, after_death, deaths + 1)
                continue
            yield result
            for argument in waiting:
                submit(argument)
                break


def _wait_for_any(client: Client, futures: list[Future]) -> Iterable[Future]:
    """Return the futures that have finished; none if a check interval passes first.

    Raises:
        InvalidInput: there was no worker at any of the checks.
    """
    for _ in range(MAX_CHECKS_WITHOUT_WORKERS):
        try:
            done: Iterable[Future] = wait(futures, timeout=CHECK_SECONDS, return_when="FIRST_COMPLETED").done
            return done
        except TimeoutError:
            if client.nthreads():
                return []
    raise InvalidInput("no worker is left; start the same command again, it continues where it stopped")


def _death_error(error: KilledWorker) -> InvalidInput:
    return InvalidInput(
        f"workers died repeatedly with one task: {error}; if they ran out of memory, start fewer with --workers"
    )
