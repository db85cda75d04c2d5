"""Tests of the Dask client: results, errors and dead workers with threads, processes and a running scheduler."""

from __future__ import annotations

import os
import signal
import threading
import time

import dask
import pytest

from pipeline import cluster
from pipeline.cluster import TASKS_PER_THREAD, connect, count_threads, run_all
from stores.errors import DecodeError, InvalidInput


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


def test_threads_return_every_result_once(threads):
    assert sorted(run_all(threads, _square, range(50))) == [(n, n * n) for n in range(50)]


def test_no_arguments_give_no_results(threads):
    assert list(run_all(threads, _square, [])) == []


def test_equal_arguments_are_separate_tasks(threads):
    assert list(run_all(threads, _square, [2] * 20)) == [(2, 4)] * 20


def test_the_error_of_a_task_is_raised_unchanged(threads):
    with pytest.raises(DecodeError) as raised:
        list(run_all(threads, _fail_at_three, range(10)))
    assert (raised.value.reason, raised.value.detail) == ("too_short", "three")
    assert sorted(run_all(threads, _square, range(3))) == [(0, 0), (1, 1), (2, 4)]  # the cluster still works


def test_the_number_of_tasks_in_flight_is_bounded(threads):
    drawn = []

    def arguments():
        for number in range(100):
            drawn.append(number)
            yield number

    results = run_all(threads, _square, arguments())
    for count in range(1, 20):
        next(results)
        assert len(drawn) <= 2 * TASKS_PER_THREAD + count
    results.close()


def test_tasks_run_at_the_same_time(threads):
    barrier = threading.Barrier(2, timeout=20)
    cluster.BARRIER = barrier  # shared by the threads
    try:
        assert sorted(run_all(threads, _meet, range(2))) == [0, 1]
    finally:
        del cluster.BARRIER


def _meet(number):
    cluster.BARRIER.wait()
    return number


@pytest.mark.parametrize(("single_thread", "count"), [(False, 3), (True, 1)])
def test_tasks_with_threads_of_their_own_get_a_single_worker_thread(single_thread, count):
    with connect("threads", 3, single_thread=single_thread) as client:
        assert count_threads(client) == count
        assert sorted(run_all(client, _square, range(5))) == [(n, n * n) for n in range(5)]


def test_processes_serve_all_clients_and_are_ended():
    with connect("processes", 2, single_thread=True) as client:
        results = dict(run_all(client, _process_of, range(20)))
        assert sorted(results) == list(range(20))
        workers = set(results.values())
        assert os.getpid() not in workers
        assert len(workers) == 2
        with pytest.raises(DecodeError, match="too_short: three"):
            list(run_all(client, _fail_at_three, range(10)))
        with connect(client.scheduler.address) as other:  # as with a cluster that another process has started
            assert list(run_all(other, _square, [3])) == [(3, 9)]
        assert list(run_all(client, _square, [4])) == [(4, 16)]  # which still runs
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def _die_at_two(number):
    if number == 2:
        os._exit(1)
    return number, number * number


@pytest.mark.slow
def test_a_task_that_ends_its_workers_is_replaced_and_the_others_finish(monkeypatch):
    monkeypatch.setattr(cluster, "MAX_DEATHS", 1)
    with connect("processes", 1) as client:
        results = sorted(run_all(client, _die_at_two, range(4), lambda number: (number, "replaced")))
        assert (2, "replaced") in results  # and perhaps tasks that were queued behind it
        assert [number for number, _ in results] == [0, 1, 2, 3]
        with pytest.raises(InvalidInput, match=r"workers died repeatedly with one task: .*--workers"):
            list(run_all(client, _die_at_two, [2], _die_at_two))


def test_a_cluster_without_workers_is_given_up_after_the_checks(monkeypatch):
    monkeypatch.setattr(cluster, "CHECK_SECONDS", 0.1)
    with connect("threads", 1) as client:
        client.sync(client.cluster.workers[0].close)
        with pytest.raises(InvalidInput, match="no worker is left; start the same command again"):
            list(run_all(client, _square, [1]))


def test_workers_do_not_receive_ctrl_c():
    with connect("processes", 1) as client:
        (worker,) = [pid for _, pid in run_all(client, _process_of, [0])]
        os.kill(worker, signal.SIGINT)
        assert [pid for _, pid in run_all(client, _process_of, [1, 2])] == [worker] * 2


@pytest.mark.parametrize("scheduler", ["", "fork", "localhost:8786", "Threads"])
def test_the_error_for_an_unknown_scheduler_lists_the_known_ones(scheduler):
    with pytest.raises(InvalidInput, match="use processes, threads or tcp://HOST:PORT"), connect(scheduler):
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


def test_no_server_listens_beyond_the_loopback_interface(threads):
    servers = [node.http_server for node in (threads.cluster.scheduler, *threads.cluster.workers.values())]
    names = [listening.getsockname() for server in servers for listening in server._sockets.values()]
    assert len(names) >= 2
    assert {address for address, *_ in names} == {"127.0.0.1"}
    assert 8787 not in {port for _, port, *_ in names}  # Dask's default: two ingests at a time would collide
