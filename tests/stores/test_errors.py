"""The tree of errors, and the exit status and message of a command that fails."""

from __future__ import annotations

import pickle
import re

import pytest

from stores import errors
from stores.errors import REJECTION_REASONS, DecodeError, InvalidInput, MynaError, exit_status


def test_the_docstring_draws_the_tree_of_errors():
    drawn = re.findall(r"^\s+[├└]── (\w+)", errors.__doc__, re.MULTILINE)
    real = [error for error in MynaError.__subclasses__() if error.__module__ == errors.__name__]
    assert drawn == [error.__name__ for error in real]
    assert not [leaf for error in real for leaf in error.__subclasses__()]


def test_a_decode_error_can_be_passed_between_processes():
    rejection = pickle.loads(pickle.dumps(DecodeError("too_short", "3 samples")))
    assert type(rejection) is DecodeError
    assert (rejection.reason, rejection.detail, str(rejection)) == ("too_short", "3 samples", "too_short: 3 samples")


def test_every_rejection_reason_has_a_meaning():
    assert all(re.fullmatch("[a-z_]+", reason) and meaning for reason, meaning in REJECTION_REASONS.items())


def _raise(error):
    raise error


def test_success_gives_status_0(capsys):
    assert exit_status(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


def test_a_myna_error_gives_status_2_and_one_line(capsys):
    assert exit_status(lambda: _raise(InvalidInput("the message"))) == 2
    assert capsys.readouterr() == ("", "error: the message\n")


def test_an_interruption_gives_status_130_and_says_how_to_continue(capsys):
    assert exit_status(lambda: _raise(KeyboardInterrupt())) == 130
    assert "start the same command again to continue" in capsys.readouterr().err


def test_an_interruption_states_its_place_and_is_reported_once(capsys):
    assert exit_status(lambda: _raise(KeyboardInterrupt("after step 3"))) == 130
    assert capsys.readouterr().err.startswith("stopped after step 3; finished work is kept")
    assert exit_status(lambda: _raise(errors.StepStopped(143))) == 143
    assert not capsys.readouterr().err


def test_a_signal_of_a_scheduler_gives_status_143(capsys):
    assert exit_status(lambda: _raise(errors.StoppedBySignal("after step 3"))) == 143
    assert capsys.readouterr().err.startswith("stopped after step 3; finished work is kept")


def test_other_errors_are_bugs_and_are_raised():
    with pytest.raises(ZeroDivisionError):
        exit_status(lambda: _raise(ZeroDivisionError()))
