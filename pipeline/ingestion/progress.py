"""How far an ingest is: a bar with clips/s, times real time, refusals and time left; and its peak memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tqdm import tqdm

from pipeline.ingestion.region_task import RegionResult


class IngestProgress:
    """Counts over all rounds of one ingest.

    Attributes:
        peak_bytes: most memory that any worker has had.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._refused, self._seconds = 0, 0.0
        self._bar: tqdm[None] | None = None

    @contextlib.contextmanager
    def round(self, clips: int) -> Iterator[None]:
        """Show a bar of so many clips while one round runs."""
        self._seconds = 0.0
        with tqdm(total=clips, unit="clip", desc="ingest", smoothing=0.1) as self._bar:
            yield

    def add(self, outcome: RegionResult, seconds: float) -> None:
        """Count one finished region with so many seconds of audio."""
        self._refused += outcome.refused
        self._seconds += seconds
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        if self._bar is not None:
            elapsed = max(self._bar.format_dict["elapsed"], 1e-9)
            pace = f"{self._seconds / elapsed:.0f}x real time, {self._refused} refused"
            self._bar.set_postfix_str(pace, refresh=False)  # drawn as often as the bar itself, not twice a region
            self._bar.update(outcome.clips)
