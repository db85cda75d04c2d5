"""The remaining time of an ingest is right early, although recordings differ in length."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from pipeline.ingestion import plan
from pipeline.ingestion.config import Limits
from pipeline.ingestion.progress import IngestProgress
from pipeline.ingestion.region_task import RegionResult
from stores.chunk_grid import Region
from stores.manifest import ClipRow, ClipRows
from stores.mel_spec import MelSpec
from stores.progress import Progress

SPEC = MelSpec()


def simulate(work, clips, workers, report):
    """Call `report(seconds, result)` for every region, in the order in which simulated workers finish."""
    waiting = list(enumerate(work))[::-1]
    running = []
    now = 0.0
    while waiting or running:
        while waiting and len(running) < workers:
            number, seconds = waiting.pop()
            heapq.heappush(running, (now + seconds, number))
        now, number = heapq.heappop(running)
        report(now, RegionResult(clips[number], 0, 0, 0.0, 0, region_start=number))
    return now


@pytest.mark.parametrize("workers", [1, 8, 32])
def test_the_estimate_is_right_within_20_percent_after_1_percent(workers):
    rng = np.random.default_rng(workers)
    work = np.sort(rng.lognormal(0, 0.5, 4_000))  # short recordings first, as in folders of samples and of albums
    work = work[np.argsort(np.arange(4_000) % 400, kind="stable")]
    clips = rng.integers(1, 100, 4_000).tolist()
    progress, estimates = IngestProgress(), []
    total = work.sum()

    def report(seconds, result):
        progress.add(result, 0.0)
        estimates.append((seconds, progress.done_share()))

    with progress.round(sum(clips), dict(enumerate(work)), workers):
        end = simulate(work, clips, workers, report)
    finished = np.cumsum(work) / total
    for (seconds, share), done in zip(estimates, finished, strict=True):
        if 0.01 < done < 0.99 and share > 0.01:
            assert 0.8 < seconds / share / end < 1.2


def test_clips_of_unknown_length_count_as_the_mean_of_the_others():
    bounds = [100, 300, SPEC.frames_for(86_400 * 16_000)]
    rows = ClipRows.of(ClipRow(i, f"{i}", "a", "b", "", bound_frames=bound) for i, bound in enumerate(bounds))
    regions = [Region(0, 64, (0, 1)), Region(64, 128, (2,))]
    assert plan.work_of(regions, rows, SPEC, Limits()) == {0: 400.0, 64: 200.0}


def test_the_bar_computes_the_remaining_time_from_the_share_of_work():
    with Progress(total=100, disable=True) as bar:
        bar.n, bar.done_share = 90, 0.25
        values = {**bar.format_dict, "elapsed": 60.0}
    with Progress(total=100) as bar:
        bar.n, bar.done_share, bar.start_t = 90, 0.25, bar._time() - 60
        values = bar.format_dict
    assert (values["total"] - values["n"]) / values["rate"] == pytest.approx(180, rel=0.01)
