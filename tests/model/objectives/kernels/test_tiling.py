"""Tiles cover every pair of views once; and kernels compile for an H200 without one, and fit into it."""

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
    (stripes, parts), tiles = tiling.cut(rows, columns)
    assert (stripes - 1) * 32 < rows <= stripes * 32
    assert (parts - 1) * tiles * 16 < columns <= parts * tiles * 16  # no part is empty
    assert parts == 1 or stripes * parts < programs + 2 * stripes


def test_8192_views_make_enough_programs_for_a_large_gpu():
    (stripes, parts), _ = tiling_for(torch.bfloat16).cut(8192, 8192)
    assert stripes * parts >= 132


@pytest.mark.parametrize(
    ("dtype", "width", "served"),
    [
        (torch.bfloat16, 256, True),
        (torch.bfloat16, 257, False),
        (torch.float32, 128, True),
        (torch.float32, 256, False),
        (torch.float64, 8, False),
    ],
)
def test_views_that_do_not_fit_are_left_to_plain_pytorch(dtype, width, served):
    assert supports(torch.empty(2, width, dtype=dtype)) == served


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton's wheels are for Linux")
def test_kernels_compile_for_an_h200_and_fit_into_its_multiprocessors(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [
        sys.executable,
        TESTS / "support" / "compiled_kernels.py",
    ]  # a fresh process: in this one kernels are interpreted
    places = {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(command, env=environment | places, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 6
    for row in rows:
        assert row["shared_bytes"] <= MULTIPROCESSOR_BYTES, row
        if row["type"] == "bfloat16":
            assert row["tensor_cores"], row
            assert row["stack_bytes"] <= 16, row  # nothing to speak of spills
