"""Tests of the tasks on a cluster: results, errors, the number in flight, and dead workers."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from distributed import Client

from pipeline.cluster import environment, tasks
from pipeline.cluster.client import connect
from pipeline.cluster.tasks import TASKS_PER_THREAD, run_all
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


def test_a_worker_that_joined_later_is_compared_when_it_runs_a_task(threads, monkeypatch):
    own = environment.describe()
    with Client(threads.scheduler.address, security=threads.security) as stranger:
        assert sorted(run_all(stranger, _square, range(3))) == [(0, 0), (1, 1), (2, 4)]
        in_command = threading.current_thread()
        other = {**own, "soxr": "0.1"}
        monkeypatch.setattr(environment, "describe", lambda: own if threading.current_thread() is in_command else other)
        with pytest.raises(InvalidInput, match=r"has another environment \(soxr 0.1 and .* here\)"):
            list(run_all(stranger, _square, range(3)))
        assert len(list(run_all(threads, _square, range(3)))) == 3, "own workers are not compared"


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


def _die_at_two(number):
    if number == 2:
        os._exit(1)
    return number, number * number


@pytest.mark.slow
def test_a_task_that_ends_its_workers_is_replaced_and_the_others_finish(monkeypatch):
    monkeypatch.setattr(tasks, "MAX_DEATHS", 1)
    with connect("processes", 1) as client:
        results = sorted(run_all(client, _die_at_two, range(4), lambda number: (number, "replaced")))
        assert (2, "replaced") in results  # and perhaps tasks that were queued behind it
        assert [number for number, _ in results] == [0, 1, 2, 3]
        with pytest.raises(InvalidInput, match=r"workers died repeatedly with one task: .*--workers"):
            list(run_all(client, _die_at_two, [2], _die_at_two))


def test_a_cluster_without_workers_is_given_up_after_the_checks(monkeypatch):
    monkeypatch.setattr(tasks, "CHECK_SECONDS", 0.1)
    with connect("threads", 1) as client:
        client.sync(client.cluster.workers[0].close)
        with pytest.raises(InvalidInput, match="no worker is left; start the same command again"):
            list(run_all(client, _square, [1]))


def test_workers_do_not_receive_ctrl_c():
    with connect("processes", 1) as client:
        (worker,) = [pid for _, pid in run_all(client, _process_of, [0])]
        os.kill(worker, signal.SIGINT)
        assert [pid for _, pid in run_all(client, _process_of, [1, 2])] == [worker] * 2
