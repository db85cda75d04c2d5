"""The option `--json` of commands: one JSON object on standard output, and everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_outputs: list[TextIO] = []  # standard output of the commands with --json that run, the innermost last


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output, also where everything else goes to standard error.

    Raises:
        ValueError: a number is not finite.
    """
    output = _outputs[-1] if _outputs else sys.stdout
    print(json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1), file=output)


@contextlib.contextmanager
def text_to_standard_error(enabled: bool) -> Iterator[None]:
    """Send what is printed within the context to standard error if `enabled`, except what `print_json` prints."""
    if not enabled:
        yield
        return
    _outputs.append(_outputs[-1] if _outputs else sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _outputs.pop()
