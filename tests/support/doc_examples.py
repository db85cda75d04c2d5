"""Python examples and typed commands in Markdown files."""

from __future__ import annotations

import re

MARKER = "<!-- python example -->"

# what is typed: an indented or fenced line, a cell of a table, or words between backticks, up to where it ends
TYPED = re.compile(r"python -m ([\w.]+)([^`|\n]*)")


def python_blocks(text):
    """Source of every Python block: fenced as `python`, or fenced or indented after the marker."""
    fenced = r"^```(?:python|py)\n(.*?)^```$"
    indented = rf"{re.escape(MARKER)}\n+((?:(?: {{4}}.*)?\n)+)"
    blocks = re.findall(fenced, text, re.MULTILINE | re.DOTALL) + re.findall(indented, text)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) if block.startswith("    ") else block for block in blocks]
