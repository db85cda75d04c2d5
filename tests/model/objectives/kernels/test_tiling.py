"""Tiles cover every pair of views once, and kernels compile for an H200, without needing one, and fit into it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model.objectives.kernels.tiling import Tiling, supports, tiling_for

TESTS = Path(__file__).parents[3]
MULTIPROCESSOR_BYTES = 227 * 1024


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (16, 16), (70, 140), (8192, 8192), (8192, 65536), (17, 3000)])
@pytest.mark.parametrize("programs", [1, 6, 256])
def test_every_pair_of_views_is_in_one_tile(rows, columns, programs):
    tiling = Tiling(32, 16, 4, 1, programs=programs)
    (stripes, ranges), tiles = tiling.grid(rows, columns)
    assert (stripes - 1) * 32 < rows <= stripes * 32
    assert (ranges - 1) * tiles * 16 < columns <= ranges * tiles * 16  # no column range is empty
    assert ranges == 1 or stripes * ranges < programs + 2 * stripes


def test_8192_views_make_enough_programs_for_a_large_gpu():
    (stripes, ranges), _ = tiling_for(torch.bfloat16).grid(8192, 8192)
    assert stripes * ranges >= 132


@pytest.mark.parametrize(
    ("dtype", "width", "supported"),
    [
        (torch.bfloat16, 256, True),
        (torch.bfloat16, 257, False),
        (torch.float32, 128, True),
        (torch.float32, 256, False),
        (torch.float64, 8, False),
    ],
)
def test_views_of_other_types_or_widths_are_not_supported(dtype, width, supported):
    assert supports(torch.empty(2, width, dtype=dtype)) == supported


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton's wheels are for Linux")
def test_kernels_compile_for_an_h200_and_fit_into_its_multiprocessors(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    # a separate process, because this one interprets kernels
    command = [sys.executable, TESTS / "support" / "compiled_kernels.py"]
    paths = {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(TESTS.parent)}
    process = subprocess.run(command, env=environment | paths, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    rows = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(rows) == 6
    for row in rows:
        assert row["shared_bytes"] <= MULTIPROCESSOR_BYTES, row
        if row["type"] == "bfloat16":
            assert row["tensor_cores"], row
            assert row["stack_bytes"] <= 16, row  # at most a few registers spill
