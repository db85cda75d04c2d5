"""Python examples and commands in Markdown files."""

from __future__ import annotations

import re

MARKER = "<!-- python example -->"

# a command as it is typed, up to the end of the line, the table cell or the text between backticks
TYPED = re.compile(r"python -m ([\w.]+)([^`|\n]*)")


def python_blocks(text):
    """Return the source of each block that is fenced as `python` or indented after the marker."""
    fenced = r"^```(?:python|py)\n(.*?)^```$"
    indented = rf"{re.escape(MARKER)}\n+((?:(?: {{4}}.*)?\n)+)"
    blocks = re.findall(fenced, text, re.MULTILINE | re.DOTALL) + re.findall(indented, text)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) if block.startswith("    ") else block for block in blocks]
