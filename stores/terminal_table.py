"""Tables of text for a terminal: a table that is too wide continues below, with its first columns repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stores.terminal import terminal_columns

_GAP = "  "


def terminal_table(head: Sequence[str], rows: Sequence[Sequence[str]], repeated: int = 1) -> list[str]:
    """Return the lines of a table that fits the width of the terminal.

    The first column is aligned on the left, the others on the right. A single column that is wider than the terminal
    is not cut.

    Args:
        head: titles of the columns.
        rows: cells of each row, one for each column.
        repeated: number of first columns that are repeated when the table continues below.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        _line([cells[i] for i in columns], [widths[i] for i in columns])
        for columns in _groups(widths, repeated)
        for cells in (head, *rows)
    ]


def _groups(widths: Sequence[int], repeated: int) -> Iterator[list[int]]:
    """Yield the columns of each part of the table, which begins with the repeated ones."""
    first = list(range(repeated))
    group = list(first)
    for column in range(repeated, len(widths)):
        needed = sum(widths[i] + len(_GAP) for i in (*group, column)) - len(_GAP)
        if needed > terminal_columns() and len(group) > repeated:
            yield group
            group = list(first)
        group.append(column)
    yield group


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *values = cells
    padded = [name.ljust(widths[0]), *(value.rjust(width) for value, width in zip(values, widths[1:], strict=True))]
    return _GAP.join(padded).rstrip()
