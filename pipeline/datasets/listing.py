"""A listing: the tracks that a dataset has on this machine, and how that compares with what was published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.datasets.track import Track


@dataclass(frozen=True)
class Listing:
    """What was found, and what was not."""

    tracks: Sequence[Track]
    """In the order in which they are to be read: clips of one file, and members of one container, side by side."""
    published: Mapping[str, int] = field(default_factory=dict)
    """Split to the number of clips that its authors publish; empty where nobody did."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was found, missing, left over or left out, as words for a person, e.g. `{"missing": 12}`."""
    keeps_silence: bool = False
    """Silent clips are stored and flagged, as a benchmark needs; otherwise they are refused."""

    def lines(self) -> list[str]:
        """The comparison as lines for a person; empty where there is nothing to compare."""
        found = Counter(track.split for track in self.tracks)
        splits = [f"  {split}: {found[split]} of {count} clips" for split, count in self.published.items()]
        return splits + [f"  {what}: {count}" for what, count in self.counts.items()]
