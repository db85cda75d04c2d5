"""Signals that stop a command: one line, an exit status of their own, and handlers that are put back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest

from model.training.interruption import Request, defer_interruption
from stores.command_line import CommandSettings, run_command
from stores.errors import StoppedBySignal
from stores.stop_signals import stop_on_signals

CASES = [(signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.fixture(autouse=True)
def default_effects():
    """Let no signal be ignored at first, as SIGHUP is below `nohup`."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number, _ in CASES}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@dataclass(frozen=True, kw_only=True)
class _Settings(CommandSettings):
    """A command."""


def _send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "status"), CASES)
def test_a_signal_ends_a_command_with_one_line_and_its_status(number, status, capsys):
    assert run_command(_Settings, [], "made", lambda _: _send(number)) == status
    output = capsys.readouterr()
    assert output.err == (
        f"stopped by {number.name}; finished work is kept, start the same command again to continue\n"
    )
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize(("number", "status"), CASES)
def test_further_signals_are_ignored_while_the_command_ends(number, status):
    with stop_on_signals():
        with pytest.raises(StoppedBySignal) as stopped:
            _send(number)
        for again in (signal.SIGTERM, signal.SIGHUP):
            _send(again)
        with pytest.raises(KeyboardInterrupt):
            _send(signal.SIGINT)
    assert stopped.value.status == status


def test_a_signal_that_is_ignored_or_handled_keeps_its_effect():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_on_signals(), stop_on_signals():
            _send(signal.SIGHUP)
            with pytest.raises(StoppedBySignal):
                _send(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("number", "request_"), [(signal.SIGTERM, Request.TERMINATE), (signal.SIGHUP, Request.HANG_UP)]
)
def test_a_run_still_finishes_its_step_first(number, request_):
    with stop_on_signals():
        with defer_interruption() as requests:
            _send(number)
            assert requests.take() is request_
            _send(number)
        with pytest.raises(StoppedBySignal):
            _send(number)


def test_it_has_no_effect_in_another_thread():
    handlers = []

    def work():
        with stop_on_signals():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.SIG_DFL]


def test_a_fork_of_a_command_is_ended_by_the_signal_itself():
    script = (
        "import os, signal, time\n"
        "from stores.stop_signals import stop_on_signals\n"
        "reader, writer = os.pipe()\n"
        "with stop_on_signals():\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        os.write(writer, b'1')\n"
        "        for _ in range(3000):\n"
        "            time.sleep(0.01)\n"
        "        os._exit(0)\n"
        "    os.read(reader, 1)\n"  # Python forgets a signal that arrives while it forks
        "    os.kill(child, signal.SIGTERM)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert (result.stdout, result.stderr) == ("-15\n", "")
