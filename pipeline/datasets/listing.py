"""A listing: the tracks that a dataset has on this machine, compared with the published numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.datasets.track import Track


@dataclass(frozen=True)
class Listing:
    """Tracks on this machine, and counts of missing and unused data."""

    tracks: Sequence[Track]
    """Tracks in the order in which they are read. Clips of one file, and members of one container, are adjacent."""
    published: Mapping[str, int] = field(default_factory=dict)
    """Published number of clips by split. Empty if no numbers are published."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Counts of missing, extra and unused data by description, such as `{"missing": 12}`."""
    keeps_silence: bool = False
    """True if silent clips are stored and flagged, as benchmark sets need. Otherwise silent clips are rejected."""

    def lines(self) -> list[str]:
        """Return the comparison as lines to print. The list is empty if there is nothing to compare."""
        clips_by_split = Counter(track.split for track in self.tracks)
        splits = [f"  {split}: {clips_by_split[split]} of {count} clips" for split, count in self.published.items()]
        return splits + [f"  {description}: {count}" for description, count in self.counts.items()]
