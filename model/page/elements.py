"""Tables and charts of the page as data, which `templates/elements.html.j2` turns into HTML.

All texts are plain text. The templates escape them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PageRow:
    """One row of a table."""

    cells: Sequence[str]
    """Texts of the cells. The first one is the name of the row."""
    kind: str = ""
    """CSS classes of the row: `trained`, `quoted`, `divided` or `baseline`; empty for an ordinary row."""


@dataclass(frozen=True)
class PageTable:
    """A table that scrolls sideways if it is wider than the page, also by keyboard."""

    head: Sequence[str]
    """Names of the columns."""
    rows: Sequence[PageRow]
    """Rows from top to bottom."""
    caption: str
    """Caption, which is also the accessible name of the table."""
    of_words: bool = False
    """True if cells hold words, which are aligned to the left, instead of numbers."""


@dataclass(frozen=True)
class PageChart:
    """The element that a chart is drawn into."""

    id: str
    """Id of the element, under which `Section.charts` has the specification."""
    description: str
    """Content of the chart for readers who cannot see it."""
    table: PageTable | None = None
    """The same numbers, shown below the chart on demand."""
