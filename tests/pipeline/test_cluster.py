"""Where tasks run: every argument gets its result, on threads and on processes, and an error comes through."""

from __future__ import annotations

import os
import signal
import threading
import time

import dask
import pytest

from pipeline import cluster
from pipeline.cluster import WINDOW_PER_THREAD, connect, run_all
from stores.errors import DecodeError, InvalidInput


def _square(number):
    return number, number * number


def _process_of(number):
    time.sleep(0.05)
    return number, os.getpid()


def _refuse(number):
    if number == 3:
        raise DecodeError("too_short", "three")
    return number


@pytest.fixture(scope="module")
def threads():
    with connect("threads", 2) as client:
        yield client


def test_threads_give_every_result_once(threads):
    assert sorted(run_all(threads, _square, range(50))) == [(n, n * n) for n in range(50)]


def test_no_arguments_give_no_results(threads):
    assert list(run_all(threads, _square, [])) == []


def test_equal_arguments_are_tasks_of_their_own(threads):
    assert list(run_all(threads, _square, [2] * 20)) == [(2, 4)] * 20


def test_an_error_in_a_task_comes_through_whole(threads):
    with pytest.raises(DecodeError) as raised:
        list(run_all(threads, _refuse, range(10)))
    assert (raised.value.reason, raised.value.detail) == ("too_short", "three")
    assert sorted(run_all(threads, _square, range(3))) == [(0, 0), (1, 1), (2, 4)]  # the cluster goes on


def test_only_a_window_of_tasks_is_in_flight(threads):
    drawn = []

    def arguments():
        for number in range(100):
            drawn.append(number)
            yield number

    results = run_all(threads, _square, arguments())
    for taken in range(1, 20):
        next(results)
        assert len(drawn) <= 2 * WINDOW_PER_THREAD + taken
    results.close()


def test_tasks_run_beside_each_other(threads):
    barrier = threading.Barrier(2, timeout=20)
    cluster.BARRIER = barrier  # threads share it
    try:
        assert sorted(run_all(threads, _meet, range(2))) == [0, 1]
    finally:
        del cluster.BARRIER


def _meet(number):
    cluster.BARRIER.wait()
    return number


def test_processes_give_every_result_to_all_who_connect_and_are_ended():
    with connect("processes", 2) as client:
        results = dict(run_all(client, _process_of, range(20)))
        assert sorted(results) == list(range(20))
        workers = set(results.values())
        assert os.getpid() not in workers
        assert len(workers) == 2
        with pytest.raises(DecodeError, match="too_short: three"):
            list(run_all(client, _refuse, range(10)))
        with connect(client.scheduler.address) as other:  # as on a cluster that somebody else has started
            assert list(run_all(other, _square, [3])) == [(3, 9)]
        assert list(run_all(client, _square, [4])) == [(4, 16)]  # which is left running
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def _die_of_two(number):
    if number == 2:
        os._exit(1)
    return number, number * number


@pytest.mark.slow
def test_a_task_that_ends_its_workers_is_done_in_the_other_way_and_all_others_come(monkeypatch):
    monkeypatch.setattr(cluster, "MOST_DEATHS", 1)
    with connect("processes", 1) as client:
        results = sorted(run_all(client, _die_of_two, range(4), lambda number: (number, "other way")))
        assert (2, "other way") in results  # and perhaps others, which stood in the queue behind it
        assert [number for number, _ in results] == [0, 1, 2, 3]
        with pytest.raises(InvalidInput, match=r"workers died again and again with one task: .*--workers"):
            list(run_all(client, _die_of_two, [2], _die_of_two))


def test_a_cluster_without_a_worker_is_given_up_after_a_while(monkeypatch):
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.1)
    with connect("threads", 1) as client:
        client.sync(client.cluster.workers[0].close)
        with pytest.raises(InvalidInput, match="no worker is left; start the same command again"):
            list(run_all(client, _square, [1]))


def test_workers_never_see_ctrl_c():
    with connect("processes", 1) as client:
        (worker,) = [pid for _, pid in run_all(client, _process_of, [0])]
        os.kill(worker, signal.SIGINT)
        assert [pid for _, pid in run_all(client, _process_of, [1, 2])] == [worker] * 2


@pytest.mark.parametrize("scheduler", ["", "fork", "localhost:8786", "Threads"])
def test_an_unknown_scheduler_is_refused_and_the_known_ones_named(scheduler):
    with pytest.raises(InvalidInput, match="use processes, threads or tcp://HOST:PORT"), connect(scheduler):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://nonsense"])
def test_a_scheduler_that_does_not_answer_is_told(address):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.3s"}),
        pytest.raises(InvalidInput, match=f"no Dask scheduler answers at {address}"),
        connect(address),
    ):
        pass


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_at_all_are_refused(workers):
    with pytest.raises(InvalidInput, match="at least one"), connect("threads", workers):
        pass


def test_nothing_listens_beyond_this_machine(threads):
    servers = [node.http_server for node in (threads.cluster.scheduler, *threads.cluster.workers.values())]
    names = [listening.getsockname() for server in servers for listening in server._sockets.values()]
    assert len(names) >= 2
    assert {address for address, *_ in names} == {"127.0.0.1"}
    assert 8787 not in {port for _, port, *_ in names}  # Dask's default: two ingests beside each other would collide
