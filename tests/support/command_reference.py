"""Print docs/commands.md: every setting of every command, from the dataclasses that declare them."""

from __future__ import annotations

import inspect

from dags.command_table import COMMANDS, Command
from stores.command_line import SettingDescription, describe

HEADER = """# Commands

Every setting of every command. This page is written by `make reference` from the dataclasses that declare the settings.
`--help` prints the same. `--config FILE` reads settings from a JSON file, by name, for example `{"batch": 256}`.
`--quiet` writes no progress, and `--version` prints the version.
"""


def reference() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([HEADER, *map(_section, COMMANDS.values())])


def _section(command: Command) -> str:
    kind = command.settings_class()
    rows = [one for one in describe(kind) if one.flag not in ("--config", "--quiet")]
    table = [f"| `{one.flag}` | {_cell(_meaning(one))} | {_cell(one.default)} |" for one in rows]
    text = " ".join(inspect.cleandoc(kind.__doc__).split())
    head = f"## python -m {command.module}\n\n{text}\n\n| setting | meaning | default |\n|---|---|---|\n"
    return head + "\n".join(table) + "\n"


def _meaning(setting: SettingDescription) -> str:
    return f"{setting.meaning} It must be {setting.limits}." if setting.limits else setting.meaning


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
