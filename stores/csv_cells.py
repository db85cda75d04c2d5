"""Cells of CSV files that hold foreign text, such as ids and labels.

Spreadsheets run a cell that begins with `=`, `+`, `-` or `@` as a formula. An apostrophe before it makes it text.
"""

from __future__ import annotations

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def escape(cell: str) -> str:
    """Return a cell that no spreadsheet runs as a formula. Numbers such as `-0.5` stay as they are."""
    if not cell.startswith(_FORMULA_STARTS) or _is_number(cell):
        return cell
    return f"'{cell}"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
