"""Kernels against the plain PyTorch beside them: values and gradients, odd sizes, outputs that held rubbish before.

On a machine with a GPU they run there, in float32 and bfloat16; without one in Triton's interpreter, on the CPU, whose
products are wrong in bfloat16, so in float32 only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model.encoder.kernels import add_norm, attention, cells, linear_gelu, mask
from model.encoder.kernels.jit import power_of_two

pytest.importorskip("triton", reason="Triton is not installed; its kernels cannot run, nor be interpreted")

TESTS = Path(__file__).parents[3]
MULTIPROCESSOR_BYTES = 227 * 1024
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
DTYPES = pytest.mark.parametrize("dtype", list(TOLERANCE) if DEVICE.type == "cuda" else [torch.float32])


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch):
    """What is allocated holds NaN (or the largest integer), so that a cell that nobody writes is seen."""
    for name in ("empty", "empty_like"):
        original = getattr(torch, name)

        def poisoned(*arguments, original=original, **options):
            made = original(*arguments, **options)
            return made.fill_(torch.nan if made.is_floating_point() else torch.iinfo(made.dtype).max)

        monkeypatch.setattr(torch, name, poisoned)


def _random(*shape, dtype=torch.float32, scale=1.0):
    made = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * scale
    return made.to(DEVICE, dtype).requires_grad_()


def _outputs_and_gradients(function, inputs):
    outputs = function(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    wanted = [one for one in inputs if isinstance(one, torch.Tensor)]
    coming = [_random(*one.shape, dtype=one.dtype).detach().to(one.device) for one in outputs]
    return [*outputs, *torch.autograd.grad(outputs, wanted, coming)]


def _assert_alike(ours, plain, inputs, dtype):
    for place, (one, other) in enumerate(
        zip(_outputs_and_gradients(ours, inputs), _outputs_and_gradients(plain, inputs), strict=True)
    ):
        scale = max(1.0, other.abs().max().item())
        difference = (one.float() - other.float()).abs().max().item() / scale
        assert difference < TOLERANCE[dtype], f"result or gradient {place} differs by {difference}"


@DTYPES
@pytest.mark.parametrize(
    ("windows", "length", "heads", "width"),
    [(30, 5, 3, 64), (13, 7, 2, 24), (3, 48, 2, 16), (1, 1, 1, 64), (2, 65, 1, 16), (12, 5, 1, 64), (13, 5, 1, 64)],
)
def test_packed_attention_is_pytorchs(windows, length, heads, width, dtype):
    qkv = _random(windows, length, 3 * heads * width, dtype=dtype)
    _assert_alike(attention.attend_fused, attention.attend_plain, (qkv, heads), dtype)


@pytest.mark.parametrize(("windows", "length", "heads", "width"), [(30, 5, 3, 64), (13, 7, 2, 24), (2, 48, 1, 8)])
def test_attention_on_a_cpu_in_training_is_pytorchs(windows, length, heads, width):
    qkv = _random(windows, length, 3 * heads * width).cpu().detach().requires_grad_()
    ours = _outputs_and_gradients(attention.attend, (qkv, heads))
    plain = _outputs_and_gradients(attention.attend_plain, (qkv, heads))
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_windows_do_not_see_each_other():
    qkv = _random(13, 5, 96).detach()
    changed = qkv.clone()
    changed[7] = 100.0
    before, after = (attention.attend_fused(one, 2) for one in (qkv, changed))
    others = [window for window in range(13) if window != 7]
    assert torch.equal(before[others], after[others])


def test_large_scores_do_not_overflow():
    qkv = _random(4, 5, 96, scale=300.0)
    assert all(one.isfinite().all() for one in _outputs_and_gradients(attention.attend_fused, (qkv, 2)))


@DTYPES
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("shape", [(33, 384), (3, 7, 200), (1, 16)])
def test_addition_and_norm_are_pytorchs(shape, has_bias, dtype, monkeypatch):
    monkeypatch.setattr(add_norm, "_PROGRAMS", 4)  # fewer than rows: each program sums over several
    stream, delta = (_random(*shape, dtype=dtype, scale=scale) for scale in (1.0, 0.5))
    bias, weight, shift = (_random(shape[-1], dtype=dtype, scale=scale) for scale in (0.1, 1.5, 1.0))
    inputs = (stream, delta, bias if has_bias else None, weight, shift)
    _assert_alike(add_norm.add_norm_fused, add_norm.add_norm_plain, inputs, dtype)


@DTYPES
@pytest.mark.parametrize(("rows", "width", "hidden"), [(130, 20, 300), (64, 8, 128), (1, 3, 5), (4200, 4, 7)])
def test_product_and_gelu_are_pytorchs(rows, width, hidden, dtype):
    inputs = (_random(rows, width, dtype=dtype), _random(hidden, width, dtype=dtype), _random(hidden, dtype=dtype))
    _assert_alike(linear_gelu.linear_gelu_fused, linear_gelu.linear_gelu_plain, inputs, dtype)


@DTYPES
@pytest.mark.parametrize(("shape", "columns"), [((16, 16), 6), ((128, 2), 48)])
@pytest.mark.parametrize(("windows", "kept"), [(13, 5), (1, 48), (9, 1)])
def test_cells_are_gathered_dequantised_and_normalised_as_in_pytorch(shape, columns, windows, kept, dtype):
    generator = torch.Generator().manual_seed(windows)
    codes = torch.randint(0, 256, (500, 128), dtype=torch.uint8, generator=generator).to(DEVICE)
    starts = torch.randint(0, 405, (windows,), generator=generator).to(DEVICE)
    starts[-1] = 404  # its last patch ends where the codes end
    visible = torch.rand(windows, 48, generator=generator).topk(kept).indices.to(DEVICE)
    table = torch.logspace(-6, 4, 256, device=DEVICE)
    inputs = (codes, starts, visible, table, cells.PatchLayout(shape, columns), dtype)
    ours, plain = cells.normalized_cells_fused(*inputs), cells.normalized_cells_plain(*inputs)
    assert ours.dtype == plain.dtype == dtype
    torch.testing.assert_close(ours, plain, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


def test_silence_becomes_zeros():
    codes = torch.zeros(96, 128, dtype=torch.uint8, device=DEVICE)
    start, visible = torch.zeros(1, dtype=torch.int64, device=DEVICE), torch.arange(5, device=DEVICE)[None]
    table = torch.ones(256, device=DEVICE)
    found = cells.normalized_cells_fused(codes, start, visible, table, cells.PatchLayout((16, 16), 6), torch.float32)
    assert not found.any()


@pytest.mark.parametrize(("windows", "patches", "visible"), [(77, 48, 5), (1, 49, 13), (33, 12, 12), (32, 1, 1)])
def test_masks_of_the_kernel_are_those_of_pytorch(windows, patches, visible):
    key = torch.tensor(-(2**62) + 12345, device=DEVICE)
    numbers = torch.arange(windows, device=DEVICE) * 1_000_003
    ours = mask.top_patches_fused(key, numbers, patches, visible)
    assert torch.equal(ours, mask.top_patches_plain(key, numbers, patches, visible))


def test_draws_are_splitmix64_of_a_counter():
    def splitmix(state):
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        return state ^ (state >> 31)

    key, windows = -987654321987654321, [0, 3, 2**40]
    found = mask.random_numbers(torch.tensor(key), torch.tensor(windows), 7)
    wanted = [[splitmix((key + (w * 7 + p + 1) * 0x9E3779B97F4A7C15) % 2**64) >> 1 for p in range(7)] for w in windows]
    assert found.tolist() == wanted


def test_blocks_are_powers_of_two():
    assert [power_of_two(size) for size in (1, 2, 3, 64, 65)] == [1, 2, 4, 64, 128]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton's wheels are for Linux")
def test_kernels_compile_for_an_h200_and_spill_nothing_in_bfloat16(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [
        sys.executable,
        TESTS / "support" / "compiled_encoder_kernels.py",
    ]  # a fresh process: here they are interpreted
    places = {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(command, env=environment | places, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = {row["kernel"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert len(rows) == 12
    for name, row in rows.items():
        assert row["shared_bytes"] <= MULTIPROCESSOR_BYTES, row
        assert row["stack_bytes"] == 0 or "fp32" in name, row
        assert row["tensor_cores"] == (name.startswith("attention") and "fp32" not in name), row
