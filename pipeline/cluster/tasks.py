"""Tasks on a cluster: a bounded number is in flight, and a task whose workers die is replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from distributed import Client, Future, KilledWorker, wait

from pipeline.cluster import environment
from pipeline.cluster.client import connect, count_threads
from pipeline.cluster.config import OptionalClusterSettings
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


@contextlib.contextmanager
def task_runner(cluster: OptionalClusterSettings, *, single_thread: bool = False) -> Iterator[Callable[..., Any]]:
    """Yield a function that runs tasks like `run_all`, and that connects to the cluster when it is first called.

    An input that cannot be read is then an error at once, without waiting for workers. If there is nothing to do, no
    cluster is needed.

    Args:
        cluster: the settings, with a scheduler.
        single_thread: see `connect`.

    Raises:
        InvalidInput: there are tasks, and the cluster cannot be used.
    """
    assert cluster.scheduler is not None, "a cluster was asked for"
    connect_once = partial(connect, cluster.scheduler, cluster.workers, tls=cluster.tls, single_thread=single_thread)
    with contextlib.ExitStack() as stack:
        clients = list[Client]()

        def run(task: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
            """Yield the result of `task` for each argument, in the order in which tasks finish."""
            if not clients:
                clients.append(stack.enter_context(connect_once()))
            return run_all(clients[0], task, arguments)

        yield run


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
        InvalidInput: workers died with a task and also with `after_death`, there has been no worker for minutes, or a
            worker that has joined a running cluster differs from this process.
        Exception: the exception that a task raised; tasks that have not started are dropped.
    """
    waiting = iter(arguments)
    running: dict[Future, tuple[Argument, int]] = {}
    is_foreign = client.cluster is None  # its workers may come and go, and were not started by this command

    def submit(argument: Argument, function: Callable[[Argument], Result] = task, deaths: int = 0) -> None:
        """Send a task. The more workers have died with it, the earlier it runs."""
        words = (environment.run_if_same, environment.describe(), function) if is_foreign else (function,)
        running[client.submit(*words, argument, pure=False, priority=deaths)] = argument, deaths

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
