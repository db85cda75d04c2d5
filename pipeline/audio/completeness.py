"""The comparison of the length that was decoded with the lengths that the file states, and the warnings about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.audio.lengths.statement import Statement

Warning = tuple[str, str]
"""Name and text of a warning."""


@dataclass(frozen=True)
class Expectation:
    """The length that a recording should have."""

    seconds: float
    """Longest length in seconds that the file or its container states, or 0 if none is stated."""
    tolerance_seconds: float
    """Seconds by which the audio of an intact file may be shorter."""
    origin: str
    """Name of the source of the length, for messages."""

    def is_missed_by(self, seconds: float) -> bool:
        """Return whether audio of `seconds` seconds is too short."""
        return seconds < self.seconds - self.tolerance_seconds


def expect(statement: Statement, decoder: Statement) -> Expectation:
    """Return the longer one of the lengths that the bytes of a file state and that the decoder found stated.

    Each counts without its tolerance, so a rounded length of a container does not hide an exact one.
    """
    statements = (statement, decoder) if statement.knows_length else (statement,)
    longer = max(statements, key=lambda stated: stated.seconds - stated.tolerance_seconds)
    return Expectation(longer.seconds, longer.tolerance_seconds, longer.origin)


def find_warnings(
    seconds: float, expectation: Expectation, statement: Statement, errors: Iterable[str]
) -> Iterator[Warning]:
    """Yield the warnings about a recording of which `seconds` seconds were decoded: `short`, `damaged`.

    Args:
        seconds: length of the audio that was decoded.
        expectation: the length that it should have.
        statement: what the file states about its audio.
        errors: errors of decoders inside the file. A file that is longer than its bytes state was joined from several
            ones, and an error where they meet is not damage.
    """
    if expectation.is_missed_by(seconds):
        place = f"; the file breaks off {statement.breaks_off}" if statement.breaks_off else ""
        yield "short", f"{seconds:.2f} s are stored, but {expectation.origin} {expectation.seconds:.2f} s{place}"
    elif statement.breaks_off:
        yield "short", f"{seconds:.2f} s are stored, and the file breaks off {statement.breaks_off}"
    is_joined = 0 < statement.seconds < seconds - statement.tolerance_seconds
    damage = [statement.damage, *([] if is_joined else errors)]
    if any(damage):
        expected = f" of {expectation.seconds:.2f} s" if expectation.seconds else ""
        yield "damaged", "; ".join([*filter(None, damage), f"{seconds:.2f} s{expected} are stored"])
