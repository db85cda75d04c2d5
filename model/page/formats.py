"""Numbers and intervals as text."""

from __future__ import annotations

MISSING = "\N{EN DASH}"
"""Text of a value that does not exist."""
MINUS = "\N{MINUS SIGN}"
"""Minus that is as wide as a plus."""


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with a fixed count of digits after the point, or a dash for None."""
    return MISSING if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def interval(low: float, high: float) -> str:
    """Return an interval such as `0.700 to 0.850`."""
    return f"{number(low)} to {number(high)}"


def signed_interval(low: float, high: float) -> str:
    """Return an interval of differences such as `+0.100 to +0.200`."""
    return f"{low:+.3f} to {high:+.3f}".replace("-", MINUS)


def estimate(value: float, low: float, high: float) -> str:
    """Return a value with its interval, such as `0.800 (0.700 to 0.850)`."""
    return f"{number(value)} ({interval(low, high)})"
