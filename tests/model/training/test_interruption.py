"""Deferred interruption: a signal waits for the current work, and only a second Ctrl-C does not."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from model.training.interruption import Request, defer_interruption
from stores.errors import StoppedBySignal


def _send(number):
    os.kill(os.getpid(), number)


def test_the_first_ctrl_c_is_reported_and_interrupts_nothing():
    with defer_interruption() as requests:
        assert requests.take() is Request.NONE
        _send(signal.SIGINT)
        assert requests.take() is Request.INTERRUPT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_ctrl_c_interrupts():
    with defer_interruption() as requests:
        _send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            _send(signal.SIGINT)
        assert requests.take() is Request.INTERRUPT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_launcher_may_repeat_every_signal():
    with defer_interruption(repeats_interrupt=False) as requests:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1):
            _send(number)
        assert requests.take() is Request.TERMINATE
        assert requests.take() is Request.TERMINATE


@pytest.mark.parametrize(("choice", "request_"), [("exit", Request.TERMINATE), ("save", Request.SAVE)])
def test_the_effect_of_sigusr1_can_be_chosen(choice, request_):
    with defer_interruption(choice) as requests:
        _send(signal.SIGUSR1)
        assert requests.take() is request_
        assert requests.take() is (Request.NONE if choice == "save" else request_)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_request_to_stop_raises_and_others_do_not():
    for request in (Request.NONE, Request.SAVE):
        request.stop("here")
    with pytest.raises(KeyboardInterrupt, match="here") as interrupted:
        Request.INTERRUPT.stop("here")
    assert not isinstance(interrupted.value, StoppedBySignal)
    with pytest.raises(StoppedBySignal, match="here"):
        Request.TERMINATE.stop("here")


def test_the_default_handler_is_restored_after_an_error():
    with pytest.raises(ZeroDivisionError), defer_interruption():
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt):
        _send(signal.SIGINT)


def test_a_signal_that_is_ignored_stays_ignored_and_the_others_are_handled():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for a command in the background
    try:
        with defer_interruption() as requests:
            _send(signal.SIGINT)
            assert requests.take() is Request.NONE
            _send(signal.SIGTERM)
            assert requests.take() is Request.TERMINATE
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_it_has_no_effect_in_another_thread():
    results = []

    def work():
        with defer_interruption() as requests:
            results.append((requests.take(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [(Request.NONE, signal.SIG_DFL)]
