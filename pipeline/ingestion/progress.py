"""The progress of an ingest: a bar with clips per second, speed, rejections and remaining time, and peak memory.

Recordings differ in length, so the remaining time is computed from the work that is planned for each region, and not
from the number of clips.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

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
        self._work: Mapping[int, float] = {}
        self._done, self._regions_done, self._workers = 0.0, 0, 1

    @contextlib.contextmanager
    def round(self, clips: int, work: Mapping[int, float] | None = None, workers: int = 1) -> Iterator[None]:
        """Show a bar with `clips` steps while a round runs.

        Args:
            clips: number of clips.
            work: work of each region in any unit, by its first frame. Without it, the work is that of the clips.
            workers: number of regions that are written at a time.
        """
        self._seconds, self._done, self._regions_done = 0.0, 0.0, 0
        self._work, self._workers = work or {}, workers
        with Progress(total=clips, unit="clip", desc="ingest", smoothing=0.1) as self._bar:
            yield

    def add(self, result: RegionResult, seconds: float) -> None:
        """Count one finished region that holds `seconds` of audio."""
        self._rejected += result.rejected
        self._seconds += seconds
        self.peak_bytes = max(self.peak_bytes, result.peak_bytes)
        self._done += self._work.get(result.region_start, 0.0)
        self._regions_done += 1
        if self._bar is not None:
            elapsed = max(self._bar.format_dict["elapsed"], 1e-9)
            text = f"{self._seconds / elapsed:.0f}x real time, {self._rejected} rejected"
            self._bar.set_postfix_str(text, refresh=False)  # drawn with the bar, not a second time for each region
            self._bar.done_share = self.done_share()
            self._bar.update(result.clips)

    def done_share(self) -> float:
        """Return the share of the work of the round that is done, 0 to 1. Regions in progress count as half done."""
        total, regions = sum(self._work.values()), len(self._work)
        if not total:
            return 0.0
        in_progress = min(self._workers, self._regions_done, regions - self._regions_done)
        mean_work = self._done / max(1, self._regions_done)
        return min(1.0, (self._done + 0.5 * in_progress * mean_work) / total)
