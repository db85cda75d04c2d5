"""Ctrl-C waits for the work in hand, once; the second time it does not."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from model.training.interruption import defer_interruption


def _press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_ctrl_c_is_told_and_breaks_nothing():
    with defer_interruption() as interrupted:
        assert not interrupted()
        _press_ctrl_c()
        assert interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_ctrl_c_breaks_in():
    with defer_interruption() as interrupted:
        _press_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            _press_ctrl_c()
        assert interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_pythons_own_handler_is_back_after_an_error():
    with pytest.raises(ZeroDivisionError), defer_interruption():
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt):
        _press_ctrl_c()


def test_a_handler_that_somebody_else_set_is_left_alone():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what nohup does
    try:
        with defer_interruption() as interrupted:
            _press_ctrl_c()
            assert not interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_another_thread_has_nothing_to_hold_back():
    told = []

    def work():
        with defer_interruption() as interrupted:
            told.append(interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [False]
