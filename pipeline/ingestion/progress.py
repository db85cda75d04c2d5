"""The progress of an ingest: a bar with clips per second, speed, rejections and remaining time, and peak memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pipeline.ingestion.region_task import RegionResult
from stores.progress import Progress


class IngestProgress:
    """Counts over all rounds of one ingest.

    Attributes:
        peak_bytes: largest memory that any worker has used.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._rejected, self._seconds = 0, 0.0
        self._bar: Progress | None = None

    @contextlib.contextmanager
    def round(self, clips: int) -> Iterator[None]:
        """Show a bar with `clips` steps while a round runs."""
        self._seconds = 0.0
        with Progress(total=clips, unit="clip", desc="ingest", smoothing=0.1) as self._bar:
            yield

    def add(self, result: RegionResult, seconds: float) -> None:
        """Count one finished region that holds `seconds` of audio."""
        self._rejected += result.rejected
        self._seconds += seconds
        self.peak_bytes = max(self.peak_bytes, result.peak_bytes)
        if self._bar is not None:
            elapsed = max(self._bar.format_dict["elapsed"], 1e-9)
            text = f"{self._seconds / elapsed:.0f}x real time, {self._rejected} rejected"
            self._bar.set_postfix_str(text, refresh=False)  # drawn with the bar, not a second time for each region
            self._bar.update(result.clips)
