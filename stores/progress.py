"""Progress of long work: a bar on a terminal, and a plain line every ten seconds elsewhere, such as in a log file."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from stores import terminal

PLAIN_SECONDS = 10.0
"""Seconds between two plain lines."""
_PLAIN_FORMAT = "{desc}: {n_fmt} of {total_fmt} {unit}s, {elapsed} so far, {remaining} left{postfix}"


class Progress(tqdm):  # type: ignore[misc]
    """A progress bar of tqdm that writes plain lines if standard error is not a terminal.

    Args:
        arguments: as for tqdm.
        options: as for tqdm. `disable=None` shows nothing if standard error is not a terminal, as in tqdm.
    """

    disable: bool
    done_share: float = 0.0
    """Share of the work that is done, from which the remaining time is computed. 0: it is computed from the steps."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._is_plain = not _is_terminal(options.get("file") or sys.stderr)
        self._last_line_time, self._has_lines = math.inf, False
        if self._is_plain:
            plain = {"mininterval": PLAIN_SECONDS, "maxinterval": PLAIN_SECONDS, "miniters": 1, "leave": True}
            options = {**options, **plain, "bar_format": _PLAIN_FORMAT}
        if terminal.is_quiet():
            options = {**options, "disable": True}
        super().__init__(*arguments, **options)
        self._last_line_time = getattr(self, "start_t", 0.0)  # a disabled bar has no start

    @property
    def format_dict(self) -> dict[str, Any]:
        """Values that tqdm shows, with the rate that leads to the remaining time of `done_share`."""
        values: dict[str, Any] = super().format_dict
        if 0 < self.done_share < 1 and values["elapsed"] and values["total"]:
            remaining_seconds = values["elapsed"] * (1 - self.done_share) / self.done_share
            values["rate"] = max(values["total"] - values["n"], 1e-9) / remaining_seconds
        return values

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Draw the bar, or write a plain line if the last one is ten seconds old. Whoever refreshes need not know."""
        if self._is_plain:
            if self._time() - self._last_line_time < PLAIN_SECONDS:
                return False
            self._last_line_time, self._has_lines = self._time(), True
        return bool(super().display(msg, pos))

    def status_printer(self, file: Any) -> Callable[[str], None]:
        """Return a function that writes the state: over the line before on a terminal, and as a line elsewhere."""
        if not self._is_plain:
            printer: Callable[[str], None] = tqdm.status_printer(file)
            return printer

        last_line = ""

        def write_line(text: str) -> None:
            """Write the state as a line, unless it is that of the line before."""
            nonlocal last_line
            if text.strip() and text != last_line:
                file.write(f"{text.strip()}\n")
                file.flush()
            last_line = text

        return write_line

    def close(self) -> None:
        """End the progress. A plain line states the end of work that was shown before."""
        if not self._is_plain or self.disable:
            super().close()
            return
        if self._has_lines:
            self._last_line_time = -math.inf
            self.display()
        self.disable = True
        self._decr_instances(self)


def _is_terminal(file: Any) -> bool:
    return bool(getattr(file, "isatty", lambda: False)())
