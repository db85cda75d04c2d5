"""The choice of one copy per clip, and the comparison of the files on disk with the listed segments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.datasets.audioset.copies import DAMAGED, ClipCopy, SkippedFile
from pipeline.datasets.audioset.names import may_start_at
from pipeline.datasets.audioset.segments import Segments

MISSING = "missing: listed in the CSVs, not on disk"
EXTRA = "extra: on disk, listed in no CSV"
EXCLUDED = "on disk, outside the subset"
OTHER_SEGMENT = "another segment of a listed video"
DUPLICATE = "duplicates: further copies of a clip, the largest is read"
REPEATED = "repeated: rows of the CSVs with the id of an earlier row, evaluation first"
ALWAYS_REPORTED = (MISSING, EXTRA, EXCLUDED, OTHER_SEGMENT, DUPLICATE)


@dataclass(frozen=True)
class SelectedCopies:
    """One copy of each clip on this machine, and counts of everything else."""

    copies: Sequence[ClipCopy]
    """Copies in the order in which they were found."""
    counts: Mapping[str, int]
    """Counts of missing, extra and unused data, by description."""
    damaged: Sequence[SkippedFile]
    """Containers that could not be read to their end."""


def select_copies(items: Iterable[ClipCopy | SkippedFile], segments: Segments) -> SelectedCopies:
    """Select the largest copy of each segment, or the first of several largest copies.

    If a container has several members of one name, the last one replaces the others. Sizes are read only for clips
    with several copies. Memory grows with the number of segments, not with the number of files.
    """
    # A replaced copy gives up its position, so the order is that of `items`, and members of a container stay adjacent.
    best: dict[str, ClipCopy] = {}
    counts = Counter(dict.fromkeys(ALWAYS_REPORTED, 0))
    damaged = []
    for item in items:
        if isinstance(item, SkippedFile):
            counts[item.reason] += 1
            if item.reason == DAMAGED:
                damaged.append(item)
            continue
        youtube_id = item.name.youtube_id
        if reason := _exclusion_reason(item, segments):
            counts[reason] += 1
            continue
        if (other := best.get(youtube_id)) is not None:
            counts[DUPLICATE] += 1
            if not _replaces(item, other):
                continue
            del best[youtube_id]
        best[youtube_id] = item
    counts[MISSING] = len(segments.selected) - len(best)
    if segments.repeated_rows:
        counts[REPEATED] = segments.repeated_rows
    return SelectedCopies(list(best.values()), counts, damaged)


def _exclusion_reason(copy: ClipCopy, segments: Segments) -> str:
    segment = segments.selected.get(copy.name.youtube_id)
    if segment is None:
        return EXCLUDED if copy.name.youtube_id in segments.excluded_ids else EXTRA
    return "" if may_start_at(copy.name, segment.start_seconds) else OTHER_SEGMENT


def _replaces(copy: ClipCopy, other: ClipCopy) -> bool:
    # If two members have the same name, tarfile returns the last one.
    if copy.member and (copy.path, copy.member) == (other.path, other.member):
        return True
    return copy.size_bytes() > other.size_bytes()
