"""Deferred interruption: the first Ctrl-C waits for the current work, and the second one does not."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from model.training.interruption import defer_interruption


def _press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_ctrl_c_is_reported_and_interrupts_nothing():
    with defer_interruption() as interrupted:
        assert not interrupted()
        _press_ctrl_c()
        assert interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_ctrl_c_interrupts():
    with defer_interruption() as interrupted:
        _press_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            _press_ctrl_c()
        assert interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_default_handler_is_restored_after_an_error():
    with pytest.raises(ZeroDivisionError), defer_interruption():
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt):
        _press_ctrl_c()


def test_a_handler_that_is_not_the_default_stays_in_place():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup does
    try:
        with defer_interruption() as interrupted:
            _press_ctrl_c()
            assert not interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_it_has_no_effect_in_another_thread():
    results = []

    def work():
        with defer_interruption() as interrupted:
            results.append(interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [False]
