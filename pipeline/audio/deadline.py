"""The deadline for decoding one file, which all decoders of the file share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from stores.errors import DecodeError


@dataclass(frozen=True)
class Deadline:
    """A time limit that starts when the object is created."""

    timeout_seconds: float
    """Wall-clock seconds for one file, all decoders together."""
    _start: float = field(default_factory=time.monotonic)

    @property
    def remaining_seconds(self) -> float:
        """Remaining seconds, not negative."""
        return max(0.0, self._start + self.timeout_seconds - time.monotonic())

    def require_remaining(self) -> None:
        """Check that time remains.

        Raises:
            DecodeError: `timeout`, if no time remains.
        """
        if not self.remaining_seconds:
            raise self.timeout_error()

    def timeout_error(self) -> DecodeError:
        """Return the error to raise when no time remains."""
        return DecodeError("timeout", f"decoding took over {self.timeout_seconds:g} s")
