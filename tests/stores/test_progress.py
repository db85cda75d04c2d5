"""Progress is a bar on a terminal, and a few plain lines elsewhere."""

from __future__ import annotations

import io

import pytest

from stores import progress, terminal
from stores.command_line import CommandSettings, run_command
from stores.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_file_gets_plain_lines_and_no_bar(monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    file = io.StringIO()
    with Progress(total=3, desc="embed", unit="window", file=file) as bar:
        for _ in range(3):
            bar.update()
    lines = file.getvalue().splitlines()
    assert lines[-1].startswith("embed: 3 of 3 windows, ")
    assert "\r" not in file.getvalue()
    assert "|" not in file.getvalue()


def test_work_that_ends_within_ten_seconds_writes_no_line():
    file = io.StringIO()
    assert list(Progress([1, 2, 3], desc="load", unit="clip", file=file)) == [1, 2, 3]
    assert file.getvalue() == ""


def test_lines_are_ten_seconds_apart(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    file = io.StringIO()
    with Progress(total=100, desc="embed", unit="window", file=file) as bar:
        bar._time = lambda: now[0]
        for _ in range(100):
            now[0] += 1
            bar.update()
    assert 9 <= len(file.getvalue().splitlines()) <= 11


def test_refreshing_more_often_writes_no_more_lines(monkeypatch):
    now = [1000.0]
    file = io.StringIO()
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    with Progress(total=30, desc="train", unit="step", file=file) as bar:
        bar._time = lambda: now[0]
        for step in range(30):
            now[0] += 1
            bar.set_postfix_str(f"loss {step}")
            bar.update()
    lines = file.getvalue().splitlines()
    assert 3 <= len(lines) <= 4
    assert lines[-1].startswith("train: 30 of 30 steps, ")


@pytest.mark.parametrize("leave", [True, False])
def test_a_terminal_gets_a_bar(leave):
    file = Terminal()
    with Progress(total=2, desc="embed", unit="window", file=file, leave=leave) as bar:
        bar.update(2)
        bar.refresh()
    assert "\r" in file.getvalue()
    assert "100%|" in file.getvalue()


def test_a_quiet_command_shows_no_progress(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    file = Terminal()
    with terminal.quiet(True), Progress(total=3, desc="embed", unit="window", file=file) as bar:
        bar.set_postfix_str("fast")
        bar.update(3)
        bar.write("a note", file=file)
        terminal.print_progress("step 1")
    assert file.getvalue() == "a note\n"
    assert capsys.readouterr().out == ""


def test_commands_of_a_quiet_command_are_quiet():
    with terminal.quiet(True), terminal.quiet(False):
        assert terminal.is_quiet()
    assert not terminal.is_quiet()


def test_quiet_is_a_flag_of_commands(capsys):
    seen = []
    for words in ([], ["--quiet"]):
        assert run_command(CommandSettings, words, "x", lambda _: seen.append(terminal.is_quiet())) == 0
    assert seen == [False, True]
    assert capsys.readouterr().out == ""
