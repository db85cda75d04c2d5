"""Tests of the resource estimate of an ingest, and of the error if the memory does not suffice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.audio.code_spool import MAX_MEMORY_BYTES
from pipeline.ingestion.plan import assign_new_regions
from pipeline.ingestion.resources import PARQUET_BYTES, WORKER_BASE_BYTES, ResourceEstimate, estimate_resources
from stores.chunk_grid import ChunkGrid
from stores.errors import InvalidInput
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

GRID, SPEC = ChunkGrid(16, 64), MelSpec()


def _rows(bounds):
    rows = [ClipRow(i, f"c{i}", f"{i}.wav", "g", "") for i in range(len(bounds))]
    return assign_new_regions(rows, bounds, GRID)


def test_only_planned_clips_are_counted():
    rows = list(_rows([60, 60, 130]))
    rows[0] = replace(rows[0], state="written")
    estimate = estimate_resources(rows, SPEC, Quantizer(), GRID)
    assert (estimate.clips, estimate.regions) == (2, 2)
    assert estimate.audio_seconds == SPEC.seconds_for(190)
    assert 0 < estimate.store_bytes < 190 * 128


def test_without_planned_clips_only_the_workers_need_memory():
    assert estimate_resources([], SPEC, Quantizer(), GRID) == ResourceEstimate(0, 0, 0.0, 0, WORKER_BASE_BYTES)


def test_a_worker_needs_memory_for_the_codes_of_its_region_and_no_more_than_that_of_a_short_clip_for_a_long_one():
    bounds = ([10, 10], [10, 1_000], [10, 1_000_000], [10, 100_000_000])
    short, long, longer, longest = (
        estimate_resources(_rows(bound), SPEC, Quantizer(), GRID).worker_bytes for bound in bounds
    )
    assert long - short >= 990 * 128
    assert longer - short <= 2 * MAX_MEMORY_BYTES
    assert longest == longer


def test_the_place_of_a_clip_in_its_recording_needs_no_memory():
    late = [replace(row, cut_start_seconds=600.0) for row in _rows([10])]
    assert estimate_resources(late, SPEC, Quantizer(), GRID) == estimate_resources(_rows([10]), SPEC, Quantizer(), GRID)


def test_wider_types_need_more_disk_space_and_memory():
    sizes = [
        estimate_resources(_rows([1000]), SPEC, Quantizer.from_dtype(dtype), GRID)
        for dtype in ("uint8", "uint16", "float32")
    ]
    assert sizes[0].store_bytes < sizes[1].store_bytes < sizes[2].store_bytes
    assert sizes[0].worker_bytes < sizes[1].worker_bytes < sizes[2].worker_bytes


def test_the_error_for_too_little_memory_names_the_numbers_and_the_option():
    estimate = ResourceEstimate(1, 1, 1.0, 1, 500_000_000)
    estimate.require_memory(1_000_000_000, 2)
    with pytest.raises(InvalidInput, match=r"3 workers need up to 500 MB each.* 1000 MB are free; start fewer"):
        estimate.require_memory(1_000_000_000, 3)


def test_a_region_that_is_read_from_parquet_needs_memory_for_arrow():
    rows = list(_rows([10, 20, 30]))
    before = estimate_resources(rows, SPEC, Quantizer(), GRID).worker_bytes
    rows[1] = replace(rows[1], source="data/Train.PARQUET")
    assert estimate_resources(rows, SPEC, Quantizer(), GRID).worker_bytes == before + PARQUET_BYTES
    rows[1] = replace(rows[1], state="written")
    assert estimate_resources(rows, SPEC, Quantizer(), GRID).worker_bytes <= before
