"""When the decoding of one file must be over, whichever decoders have a try at it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from stores.errors import DecodeError


@dataclass(frozen=True)
class Deadline:
    """So many seconds from when it is made."""

    limit_seconds: float
    """Wall clock for one file, all decoders together."""
    _start: float = field(default_factory=time.monotonic)

    @property
    def left_seconds(self) -> float:
        """What is left of it, not negative."""
        return max(0.0, self._start + self.limit_seconds - time.monotonic())

    def require(self) -> None:
        """Check that it is not over.

        Raises:
            DecodeError: `timeout`.
        """
        if not self.left_seconds:
            raise self.passed()

    def passed(self) -> DecodeError:
        """What to raise when it is over."""
        return DecodeError("timeout", f"decoding took over {self.limit_seconds:g} s")
