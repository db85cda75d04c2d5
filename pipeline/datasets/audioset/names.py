"""File names of AudioSet clips: the YouTube id, and the second at which the clip starts where the name tells it.

People have `ID`, `YID` (PANNs), `ID_30.0-40.0` (audioset-download), `ID_30.000_40.000`, `ID_000030` and `ID_30000` (the
clip ids of the strong labels, in milliseconds).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ID = r"[A-Za-z0-9_-]{11}"
_NUMBER = r"\d{1,9}(?:\.\d{1,6})?"
# An id may itself start with Y and may hold `_`, yet no name reads both ways: after a plain id comes the end or `_` and
# a digit, so that where a leading Y is read as a prefix, its id would be followed by that digit instead of `_`.
_STEM = re.compile(rf"Y?({ID})(?:_({_NUMBER})(?:[-_]{_NUMBER})?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ClipName:
    """What a file name says of the clip in it."""

    youtube_id: str
    """Eleven characters; the first may be `-`."""
    start: str = ""
    """Where in the video the clip starts, as written: seconds or milliseconds; empty where the name does not tell."""


def parse(stem: str) -> ClipName | None:
    """The clip that a file name without its suffix names, or None if it is not one of AudioSet's."""
    match = _STEM.fullmatch(stem)
    return ClipName(match[1], match[2] or "") if match else None


def starts_at(name: ClipName, seconds: float) -> bool:
    """Whether the clip of that name may be the one that starts at `seconds`; a name without a start may be any.

    Seconds may differ by a fraction, which some tools cut off; whole numbers may also be milliseconds.
    """
    if not name.start:
        return True
    start = float(name.start)
    return abs(start - seconds) < 1 or ("." not in name.start and abs(start - 1000 * seconds) < 1)
