"""The program `myna`: `myna explore ~/music` is `python -m dags.explore ~/music`, and so on for every command.

`myna completion bash`, `zsh` or `fish` prints a script that completes commands and flags, made from the settings.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Sequence

from dags.command_table import COMMANDS
from stores.command_line import describe
from stores.errors import InvalidInput, exit_status

SHELLS = ("bash", "zsh", "fish")
_HELP = ("-h", "--help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first word names, and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in _HELP:
        print(overview())
        return 0
    if words == ["--version"]:
        print(f"myna {importlib.metadata.version('myna')}")
        return 0
    name, *rest = words
    if name == "completion":
        return exit_status(lambda: print(completion(rest)))
    if name not in COMMANDS:
        return exit_status(lambda: _reject(name))
    return int(importlib.import_module(COMMANDS[name].module).main(rest))


def overview() -> str:
    """Return the list of commands with a line about each."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{_first_line(name)}" for name in COMMANDS]
    shells = ", ".join(SHELLS)
    head = "usage: myna COMMAND ...\n\n`myna COMMAND --help` lists the settings of a command.\n"
    return "\n".join([head, *lines, f"  {'completion':<{width}}Print a script that completes commands for {shells}."])


def completion(words: Sequence[str]) -> str:
    """Return the script that completes commands and flags in a shell.

    Raises:
        InvalidInput: no shell is stated, or an unknown one.
    """
    if len(words) != 1 or words[0] not in SHELLS:
        raise InvalidInput(f"myna completion needs one of {', '.join(SHELLS)} (got {' '.join(words) or 'nothing'})")
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[words[0]]()


def flags(name: str) -> list[str]:
    """Return the flags of a command, in the order of its help."""
    return [one.flag for one in describe(COMMANDS[name].settings_class()) if one.flag.startswith("--")] + ["--help"]


def _bash() -> str:
    cases = "\n".join(f'    {name}) words="{" ".join(flags(name))}" ;;' for name in COMMANDS)
    return f"""_myna() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join([*COMMANDS, "completion"])}" -- "$current"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
    completion) words="{" ".join(SHELLS)}" ;;
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *) if [ "${{COMP_WORDS[1]}}" = completion ]; then COMPREPLY=($(compgen -W "$words" -- "$current")); fi ;;
  esac
}}
complete -o default -F _myna myna"""


def _zsh() -> str:
    return f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{_bash()}"


def _fish() -> str:
    lines = [f"complete -c myna -n __fish_use_subcommand -a {name} -d '{_first_line(name)}'" for name in COMMANDS]
    for name in COMMANDS:
        condition = f"'__fish_seen_subcommand_from {name}'"
        lines += [f"complete -c myna -n {condition} -l {flag[2:]}" for flag in flags(name)]
    return "\n".join(lines).replace("Debian's", "Debian\\'s")


def _first_line(name: str) -> str:
    """Return the first sentence of the description of a command."""
    text = " ".join((inspect.getdoc(COMMANDS[name].settings_class()) or "").split())
    return text.split(". ")[0].rstrip(".") + "."


def _reject(name: str) -> None:
    similar = difflib.get_close_matches(name, COMMANDS, 1)
    hint = f"; did you mean {similar[0]}?" if similar else ""
    raise InvalidInput(f"there is no command {name}{hint} `myna --help` lists all commands")
