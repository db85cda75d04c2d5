"""Which copy of each clip is read, and how what lies on disk compares with what was listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.datasets.audioset.copies import DAMAGED, ClipCopy, SkippedFile
from pipeline.datasets.audioset.names import starts_at
from pipeline.datasets.audioset.segments import Segments

MISSING = "missing: listed in the CSVs, not on disk"
EXTRA = "extra: on disk, listed in no CSV"
LEFT_OUT = "on disk, outside the subset"
OTHER_SEGMENT = "another segment of a listed video"
DUPLICATE = "duplicates: further copies of a clip, the largest is read"
REPEATED = "rows of the CSVs whose id came before, evaluation first"
ALWAYS_REPORTED = (MISSING, EXTRA, LEFT_OUT, OTHER_SEGMENT, DUPLICATE)


@dataclass(frozen=True)
class SelectedCopies:
    """One copy of each clip that is there."""

    copies: Sequence[ClipCopy]
    """In the order in which they were found."""
    counts: Mapping[str, int]
    """What was missing, left over and passed over, in words."""
    damaged: Sequence[SkippedFile]
    """Containers that could not be read to their end."""


def select_copies(found: Iterable[ClipCopy | SkippedFile], segments: Segments) -> SelectedCopies:
    """Take the largest copy of each segment, the first of equals; a member stands for those before it of its name.

    Sizes are asked only of clips with several copies. Memory grows with the segments, not with the files.
    """
    # A replaced copy leaves its place: the order stays that of `found`, in which members of a container are neighbours.
    best: dict[str, ClipCopy] = {}
    counts = Counter(dict.fromkeys(ALWAYS_REPORTED, 0))
    damaged = []
    for item in found:
        if isinstance(item, SkippedFile):
            counts[item.why] += 1
            if item.why == DAMAGED:
                damaged.append(item)
            continue
        youtube_id = item.name.youtube_id
        if reason := _why_not(item, segments):
            counts[reason] += 1
            continue
        if (other := best.get(youtube_id)) is not None:
            counts[DUPLICATE] += 1
            if not _replaces(item, other):
                continue
            del best[youtube_id]
        best[youtube_id] = item
    counts[MISSING] = len(segments.wanted) - len(best)
    if segments.repeated:
        counts[REPEATED] = segments.repeated
    return SelectedCopies(list(best.values()), counts, damaged)


def _why_not(copy: ClipCopy, segments: Segments) -> str:
    segment = segments.wanted.get(copy.name.youtube_id)
    if segment is None:
        return LEFT_OUT if copy.name.youtube_id in segments.left_out else EXTRA
    return "" if starts_at(copy.name, segment.start_seconds) else OTHER_SEGMENT


def _replaces(copy: ClipCopy, other: ClipCopy) -> bool:
    # Of two members with one name only the last can be asked for, as tar itself has it.
    if copy.member and (copy.path, copy.member) == (other.path, other.member):
        return True
    return copy.size_bytes() > other.size_bytes()
