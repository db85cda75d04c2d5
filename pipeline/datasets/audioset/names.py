"""File names of AudioSet clips: the YouTube id and, if the name states it, the start of the clip in the video.

The usual names are `ID`, `YID` (PANNs), `ID_30.0-40.0` (audioset-download), `ID_30.000_40.000`, `ID_000030` and
`ID_30000` (the clip ids of the strong labels, in milliseconds). yt-dlp names its downloads `Title [ID]`, and its
predecessor youtube-dl `Title-ID`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ID = r"[A-Za-z0-9_-]{11}"
_NUMBER = r"\d{1,9}(?:\.\d{1,6})?"
# An id may itself start with Y and may contain `_`, but no name can be parsed in two ways. A plain id is followed by
# the end or by `_` and a digit. If its leading Y were parsed as a prefix, the id would end one character later, and
# that digit would follow instead of `_`.
_STEM = re.compile(rf"Y?({ID})(?:_({_NUMBER})(?:[-_]{_NUMBER})?)?", re.ASCII)
_DOWNLOAD = re.compile(rf".*\[({ID})\]|.+-({ID})", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class ClipName:
    """The clip that a file name states."""

    youtube_id: str
    """Eleven characters. The first may be `-`."""
    start: str = ""
    """Start of the clip in the video as written, in seconds or milliseconds. Empty if the name does not state it."""


def parse(stem: str) -> ClipName | None:
    """Return the clip that a file name without its suffix states, or None if it is not the name of a clip."""
    if match := _STEM.fullmatch(stem):
        return ClipName(match[1], match[2] or "")
    download = _DOWNLOAD.fullmatch(stem)
    return ClipName(download[1] or download[2]) if download else None


def may_start_at(name: ClipName, seconds: float) -> bool:
    """Return whether the clip of that name may start at `seconds`. A name without a start fits any segment.

    Seconds may differ by a fraction, which some tools truncate. Integers may also be milliseconds.
    """
    if not name.start:
        return True
    start = float(name.start)
    return abs(start - seconds) < 1 or ("." not in name.start and abs(start - 1000 * seconds) < 1)
