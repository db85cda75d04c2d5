"""The option `--json` of commands: one JSON object on standard output, and everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output, in UTF-8 characters.

    Raises:
        ValueError: a number is not finite.
    """
    print(json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1))


@contextlib.contextmanager
def text_to_standard_error(enabled: bool) -> Iterator[None]:
    """Send what is printed within the context to standard error if `enabled`, so that JSON can follow alone."""
    with contextlib.redirect_stdout(sys.stderr) if enabled else contextlib.nullcontext():
        yield
