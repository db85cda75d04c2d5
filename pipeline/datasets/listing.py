"""A listing: the tracks that a dataset has on this machine, compared with the published numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.datasets.file_kinds import PassedOver
from pipeline.datasets.track import Track

_UNREAD = (
    "could not be opened",
    "folders that cannot be opened",
    "containers that cannot be read to their end",
    "damaged: ",
    "Parquet file not read: ",
)
"""Beginnings of the descriptions of files and folders whose recordings could not be listed."""


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
    passed_over: PassedOver = field(default_factory=PassedOver)
    """Counts of files that are not audio, and of system folders."""
    notes: Sequence[str] = ()
    """Further lines to print, such as the rows of a table that name no file."""

    @property
    def is_complete(self) -> bool:
        """True if everything below the root could be read, so that a clip that is not listed is gone."""
        return not any(count and description.startswith(_UNREAD) for description, count in self.counts.items())

    def lines(self) -> list[str]:
        """Return the comparison as lines to print. The list is empty if there is nothing to compare."""
        clips_by_split = Counter(track.split for track in self.tracks) if self.published else Counter[str]()
        splits = [f"  {split}: {clips_by_split[split]} of {count} clips" for split, count in self.published.items()]
        counts = [f"  {description}: {count}" for description, count in self.counts.items()]
        passed_over = [f"  passed over: {self.passed_over}"] if str(self.passed_over) else []
        return splits + counts + passed_over + [f"  {note}" for note in self.notes]

    def all_counts(self) -> Mapping[str, int]:
        """Return the counts of unused data and of what was passed over, for the report of an ingest."""
        passed_over = {f"passed over: {name}": count for name, count in self.passed_over.counts().items()}
        return {**self.counts, **passed_over}
