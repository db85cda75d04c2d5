"""Command lines from dataclasses: flags, ranges, --config files and descriptions come from the fields."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Le
from tyro.conf import Positional, UseAppendAction

from stores import command_line
from stores.command_line import CheckedSettings, CommandSettings, describe, parse, run_command, shown, split_words
from stores.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Limits(CheckedSettings):
    """Limits."""

    max_seconds: Annotated[float, Gt(0)] = 2.5
    """Longest recording, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Settings(CommandSettings):
    """Do something."""

    source: Annotated[Positional[str], shown("SOURCE")]
    """What to read."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed."""
    programs: tuple[Annotated[int, Ge(0), Le(127)], ...] = (0,)
    """Programs."""
    task: UseAppendAction[tuple[str, ...]] = ()
    """Tasks."""
    gamma: Annotated[Annotated[float, Gt(0), Le(1)] | None, shown("G", "that of the preset")] = None
    """Gamma."""
    kind: Literal["one", "two"] = "one"
    """Kind."""
    dry_run: bool = False
    """Do nothing."""
    limits: Limits = field(default_factory=Limits)


def _parse(*words):
    return parse(Settings, words, "some.command")


def test_a_command_line_gives_every_setting():
    settings = _parse("here", "--seed=3", "--programs", "1", "2", "--task", "a", "--task=b", "--max-seconds", "9")
    assert (settings.source, settings.seed, settings.programs, settings.task) == ("here", 3, (1, 2), ("a", "b"))
    assert (settings.limits.max_seconds, settings.gamma, settings.kind, settings.dry_run) == (9.0, None, "one", False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "-1"], r"--seed must be at least 0 \(got -1\)"),
        (["--programs", "1", "128"], r"--programs must be at least 0 and at most 127 \(got 128\)"),
        (["--gamma", "0"], r"--gamma must be more than 0 and at most 1 \(got 0.0\)"),
        (["--max-seconds", "nan"], r"--max-seconds must be a finite number \(got nan\)"),
        (["--max-seconds", "inf"], r"--max-seconds must be a finite number \(got inf\)"),
    ],
)
def test_a_value_out_of_range_is_an_error_that_states_the_range(words, message):
    with pytest.raises(InvalidInput, match=message):
        _parse("here", *words)


@pytest.mark.parametrize("words", [["--kind", "three"], ["--sed", "1"], ["--seed", "x"], ["a", "b"], []])
def test_a_command_line_that_is_not_understood_ends_with_status_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        _parse(*(words if words == [] or words[0] == "a" else ["here", *words]))
    assert ended.value.code == 2
    assert "python -m some.command --help" in capsys.readouterr().err


def test_a_config_file_gives_settings_and_typed_flags_take_precedence(tmp_path):
    path = tmp_path / "settings.json"
    values = {"seed": 5, "programs": [3, 4], "task": ["a", "b"], "max-seconds": 7, "dry_run": True, "gamma": None}
    path.write_text(json.dumps(values))
    settings = _parse("here", "--config", str(path), "--seed", "6", "--task=c")
    assert (settings.seed, settings.programs, settings.task, settings.dry_run) == (6, (3, 4), ("c",), True)
    assert settings.limits.max_seconds == 7
    assert settings.config == path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"sed": 1}', "unknown settings sed; known are .*seed"),
        ('{"source": "x"}', "unknown settings source"),
        ("[1]", "a JSON object is needed"),
        ("{", "is not JSON"),
        ("[" * 100_000 + "]" * 100_000, "is not JSON: nested more than 64 levels deep"),
        ('{"seed": {"a": 1}}', "a string, a number, true, false or an array is needed"),
    ],
)
def test_a_config_file_that_cannot_be_used_is_an_error(tmp_path, capsys, content, message):
    (tmp_path / "c.json").write_text(content)
    assert run_command(Settings, ["here", "--config", str(tmp_path / "c.json")], "some.command", print) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_config_file_that_is_not_there_is_an_error():
    with pytest.raises(InvalidInput, match=r"--config none.json is not a file"):
        _parse("here", "--config=none.json")


def test_every_setting_is_described_from_its_field():
    described = {one.flag: one for one in describe(Settings)}
    assert list(described) == [
        *("--config", "--quiet", "source", "--seed"),
        *("--programs", "--task", "--gamma", "--kind", "--dry-run", "--max-seconds"),
    ]
    assert described["--max-seconds"] == ("--max-seconds", "Longest recording, in seconds.", "2.5", "more than 0")
    assert described["--gamma"].default == "that of the preset"
    assert described["source"].default == "required"


def test_help_shows_docstrings_and_defaults(capsys):
    with pytest.raises(SystemExit) as ended:
        _parse("--help")
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    assert printed.startswith("usage: python -m some.command ")
    for text in ("Do something.", "Longest recording, in seconds.", "(default: 2.5)", "(default: that of the preset)"):
        assert text in printed


def test_words_for_other_commands_are_split_off():
    own, words = split_words(["a", "--ingest", "b", "--root=c", "--train", "--batch", "2"], ("--ingest", "--train"))
    assert own == ["a"]
    assert words == {"--ingest": ["b", "--root=c"], "--train": ["--batch", "2"]}


def test_run_command_returns_the_status_of_its_body(capsys):
    def body(settings):
        raise InvalidInput(f"cannot read {settings.source}")

    assert run_command(Settings, ["here"], "some.command", lambda settings: None) == 0
    assert run_command(Settings, ["here"], "some.command", body) == 2
    assert capsys.readouterr().err == "error: cannot read here\n"


def test_an_untested_system_is_named_once_in_a_process(monkeypatch, capsys):
    monkeypatch.setattr("sys.platform", "win32")
    command_line._note_untested_system.cache_clear()
    for _ in range(2):
        assert run_command(Settings, ["x"], "tests.nothing", lambda _: None) == 0
    assert capsys.readouterr().err == "note: Myna is tested on Linux only, and this system is win32\n"


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_linux_and_macos_are_not_noted(monkeypatch, capsys, system):
    monkeypatch.setattr("sys.platform", system)
    command_line._note_untested_system.cache_clear()
    assert run_command(Settings, ["x"], "tests.nothing", lambda _: None) == 0
    assert not capsys.readouterr().err


@pytest.mark.parametrize(("before", "after"), [(None, "10000"), ("7", "7")])
def test_threads_of_openmp_spin_shortly_unless_the_user_says_otherwise(monkeypatch, before, after):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if before:
        monkeypatch.setenv("GOMP_SPINCOUNT", before)
    seen = []
    assert run_command(Settings, ["x"], "tests.nothing", lambda _: seen.append(os.environ["GOMP_SPINCOUNT"])) == 0
    assert seen == [after]
