"""The program `myna` runs every command by its short name, and completes commands and flags."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from dags import entry_point
from dags.command_table import COMMANDS


def test_every_command_is_listed_with_a_sentence(capsys):
    assert entry_point.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in COMMANDS:
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert line.endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_short_name_runs_its_command(name, capsys):
    with pytest.raises(SystemExit) as ended:
        entry_point.main([name, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: python -m {COMMANDS[name].module} ")
    assert [flag for flag in entry_point.flags(name) if f"{flag}" not in printed] == []


def test_a_mistyped_command_is_an_error_that_names_a_similar_one(capsys):
    assert entry_point.main(["exploer"]) == 2
    assert "there is no command exploer; did you mean explore? `myna --help` lists" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [("myna expl", "explore"), ("myna search --exclude", "--exclude-same-album"), ("myna completion b", "bash")],
)
def test_bash_completes_commands_and_flags(words, expected):
    script = f"""{entry_point.completion(["bash"])}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _myna; echo "${{COMPREPLY[@]}}" """
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == [expected]


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_of_other_shells_have_every_flag_and_can_be_parsed(shell, tmp_path):
    text = entry_point.completion([shell])
    assert "exclude-same-album" in text
    if shutil.which(shell):
        (tmp_path / "script").write_text(text)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_another_shell_is_an_error(capsys):
    assert entry_point.main(["completion", "cmd"]) == 2
    assert "myna completion needs one of bash, zsh, fish (got cmd)" in capsys.readouterr().err
