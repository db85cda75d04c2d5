"""Tests of the resource estimate of an ingest, and of the error if the memory does not suffice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.ingestion.plan import assign_new_regions
from pipeline.ingestion.resources import WORKER_BASE_BYTES, ResourceEstimate, estimate_resources
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
    estimate = estimate_resources(rows, SPEC, Quantizer())
    assert (estimate.clips, estimate.regions) == (2, 2)
    assert estimate.audio_seconds == SPEC.seconds_for(190)
    assert 0 < estimate.store_bytes < 190 * 128


def test_without_planned_clips_only_the_workers_need_memory():
    assert estimate_resources([], SPEC, Quantizer()) == ResourceEstimate(0, 0, 0.0, 0, WORKER_BASE_BYTES)


def test_a_worker_needs_memory_for_its_longest_recording():
    short, long = (
        estimate_resources(_rows([10, 10]), SPEC, Quantizer()),
        estimate_resources(_rows([10, 1000]), SPEC, Quantizer()),
    )
    assert long.worker_bytes - short.worker_bytes >= 990 * (4 * 512 + 4 * 128)  # samples and mel


def test_a_clip_needs_memory_for_its_recording_from_the_start():
    late = [replace(row, cut_start_seconds=600.0) for row in _rows([10])]
    assert estimate_resources(late, SPEC, Quantizer()).worker_bytes >= WORKER_BASE_BYTES + 600 * 16_000 * 4


def test_wider_types_need_more_disk_space_and_memory():
    sizes = [
        estimate_resources(_rows([1000]), SPEC, Quantizer.from_dtype(dtype)) for dtype in ("uint8", "uint16", "float32")
    ]
    assert sizes[0].store_bytes < sizes[1].store_bytes < sizes[2].store_bytes
    assert sizes[0].worker_bytes < sizes[1].worker_bytes < sizes[2].worker_bytes


def test_the_error_for_too_little_memory_names_the_numbers_and_the_option():
    estimate = ResourceEstimate(1, 1, 1.0, 1, 500_000_000)
    estimate.require_memory(1_000_000_000, 2)
    with pytest.raises(InvalidInput, match=r"3 workers need up to 500 MB each.* 1000 MB are free; start fewer"):
        estimate.require_memory(1_000_000_000, 3)
