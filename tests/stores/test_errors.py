"""The errors: one tree, drawn as it is, each told in a line."""

from __future__ import annotations

import pickle
import re

import pytest

from stores import errors
from stores.errors import REJECTION_REASONS, DecodeError, InvalidInput, MynaError, exit_status


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = re.findall(r"^\s+[├└]── (\w+)", errors.__doc__, re.MULTILINE)
    real = [error for error in MynaError.__subclasses__() if error.__module__ == errors.__name__]
    assert drawn == [error.__name__ for error in real]
    assert not [leaf for error in real for leaf in error.__subclasses__()]


def test_a_refusal_survives_the_trip_between_processes():
    refusal = pickle.loads(pickle.dumps(DecodeError("too_short", "3 samples")))
    assert type(refusal) is DecodeError
    assert (refusal.reason, refusal.detail, str(refusal)) == ("too_short", "3 samples", "too_short: 3 samples")


def test_every_reason_says_what_it_means():
    assert all(re.fullmatch("[a-z_]+", reason) and meaning for reason, meaning in REJECTION_REASONS.items())


def _raise(error):
    raise error


def test_success_ends_with_zero(capsys):
    assert exit_status(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


def test_our_errors_end_with_two_and_a_line_on_standard_error(capsys):
    assert exit_status(lambda: _raise(InvalidInput("what was wrong"))) == 2
    assert capsys.readouterr() == ("", "error: what was wrong\n")


def test_an_interruption_ends_with_130_and_says_how_to_go_on(capsys):
    assert exit_status(lambda: _raise(KeyboardInterrupt())) == 130
    assert "the same command goes on from there" in capsys.readouterr().err


def test_an_interruption_says_where_if_it_knows_and_is_told_once(capsys):
    assert exit_status(lambda: _raise(KeyboardInterrupt("after step 3"))) == 130
    assert capsys.readouterr().err.startswith("stopped after step 3; what was finished is kept")
    assert exit_status(lambda: _raise(errors.StepStopped())) == 130
    assert not capsys.readouterr().err


def test_other_errors_are_bugs_and_come_through():
    with pytest.raises(ZeroDivisionError):
        exit_status(lambda: _raise(ZeroDivisionError()))
