"""A table of text is as wide as its cells, and continues below where the terminal is narrower."""

from __future__ import annotations

import pytest

from stores import terminal_table

HEAD = ("name", "gtzan/genre", "average")
ROWS = (("trained", "0.745", "0.7"), ("mean-log-mel", "0.400", "–"))  # noqa: RUF001 -- the sign for no value


@pytest.fixture
def columns(monkeypatch):
    """Return a function that sets the width of the terminal."""
    return lambda count: monkeypatch.setattr(terminal_table, "terminal_columns", lambda: count)


def test_a_wide_terminal_has_one_table(columns):
    columns(80)
    lines = terminal_table.terminal_table(HEAD, ROWS)
    assert lines == [
        "name          gtzan/genre  average",
        "trained             0.745      0.7",
        "mean-log-mel        0.400        –",  # noqa: RUF001
    ]


@pytest.mark.parametrize("width", [25, 26, 33])
def test_a_narrow_terminal_has_the_columns_below_each_other(columns, width):
    columns(width)
    lines = terminal_table.terminal_table(HEAD, ROWS)
    assert max(map(len, lines)) <= width
    assert lines[3] == "name          average"
    assert [line.split()[0] for line in lines] == ["name", "trained", "mean-log-mel"] * 2


def test_a_column_that_is_wider_than_the_terminal_is_whole(columns):
    columns(5)
    assert "gtzan/genre" in terminal_table.terminal_table(HEAD, ROWS)[0]
