"""The cost of every step grows as the number of clips: the rehearsal at small sizes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

MAX_RATIO = 2.0
"""Largest CPU time of a clip between 4,000 and 12,000 clips, compared with that between 1,000 and 4,000 clips."""
NOISE_SECONDS = 1.5
"""CPU time by which a step of 12,000 clips may be longer for other reasons, such as other processes."""


def rehearsal():
    path = Path(__file__).with_name("rehearsal.py")
    spec = importlib.util.spec_from_file_location("rehearsal", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _limit(first, second):
    """Return the most that 12,000 clips may cost after what 1,000 and 4,000 clips have cost."""
    slope = max(second - first, 0) / 3_000
    return second + MAX_RATIO * slope * 8_000 + NOISE_SECONDS


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_the_cpu_time_of_every_step_is_linear_in_the_clips(tmp_path):
    steps = [*("plan", "record", "relabel", "verify", "shard", "check-shards", "batches", "encoder", "free")]
    steps += ["extract", "probe", "predict", "search"]
    module = rehearsal()
    costs = {clips: module.rehearse(tmp_path, clips, steps) for clips in (1_000, 4_000, 12_000)}
    seconds = {step: [costs[clips][step]["cpu_seconds"] for clips in costs] for step in steps}
    assert max(seconds["shard"]) > 5 * NOISE_SECONDS
    assert {step: cost for step, cost in seconds.items() if cost[2] > _limit(cost[0], cost[1])} == {}
    assert not any(tmp_path.iterdir())


def test_a_quadratic_step_is_above_the_limit():
    assert _limit(1, 16) < 144
    assert _limit(1, 4) > 12
    assert _limit(1, 4) > 12 + NOISE_SECONDS


def test_slopes_are_differences_between_neighboring_sizes():
    costs = {1_000: {"a": {"cpu_seconds": 1.0, "mib": 10.0}}, 2_000: {"a": {"cpu_seconds": 2.0, "mib": 10.0}}}
    costs[4_000] = {"a": {"cpu_seconds": 6.0, "mib": 30.0}}
    assert rehearsal().slopes(costs)["a"] == {"cpu_seconds": [100.0, 200.0], "mib": [0.0, 1000.0], "ratio": 2.0}
