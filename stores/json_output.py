"""The option `--json` of commands: one JSON object on standard output, and everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_outputs: list[TextIO] = []  # standard output of the commands with --json that run, the innermost last


_collections: list[list[dict[str, Any]]] = []  # objects of the steps of workflows that run, the innermost last


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output, also where everything else goes to standard error.

    Within `collect`, the object is kept instead.

    Raises:
        ValueError: a number is not finite.
    """
    if _collections:
        _collections[-1].append(content)
        return
    output = _outputs[-1] if _outputs else sys.stdout
    print(json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1), file=output)


@contextlib.contextmanager
def collect() -> Iterator[list[dict[str, Any]]]:
    """Yield a list to which `print_json` appends its objects within the context, instead of printing them."""
    _collections.append([])
    try:
        yield _collections[-1]
    finally:
        _collections.pop()


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
