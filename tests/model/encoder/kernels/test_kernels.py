"""Kernels compared with their references: values and gradients, odd sizes, and output buffers that held NaN before.

On a machine with a GPU, kernels run there. Without a GPU they run on the CPU in Triton's interpreter, whose arithmetic
in bfloat16 `bf16_interpreter` makes right.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model.encoder.kernels import attention, cells, fused_linear, mask, residual_layers, stream_norm
from model.encoder.kernels.jit import power_of_two

pytest.importorskip("triton", reason="Triton is not installed, so kernels can neither run nor be interpreted")

TESTS = Path(__file__).parents[3]
MULTIPROCESSOR_BYTES = 227 * 1024
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
DTYPES = pytest.mark.parametrize("dtype", list(TOLERANCE))


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch):
    """Fill allocated memory with NaN (or the largest integer), so that tests notice elements that are not written."""
    for name in ("empty", "empty_like"):
        original = getattr(torch, name)

        def poisoned(*arguments, original=original, **options):
            tensor = original(*arguments, **options)
            return tensor.fill_(torch.nan if tensor.is_floating_point() else torch.iinfo(tensor.dtype).max)

        monkeypatch.setattr(torch, name, poisoned)


def _random(*shape, dtype=torch.float32, scale=1.0):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * scale
    return values.to(DEVICE, dtype).requires_grad_()


def _outputs_and_gradients(function, inputs, dtype=torch.float32):
    """Return the outputs, and the gradients for random gradients of the outputs, which are rounded to `dtype`."""
    outputs = function(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    tensors = [value for value in inputs if isinstance(value, torch.Tensor)]
    gradients = [_random(*output.shape, dtype=dtype).detach().to(output.device, output.dtype) for output in outputs]
    return [*outputs, *torch.autograd.grad(outputs, tensors, gradients)]


def _in_float32(value):
    return value.detach().float().requires_grad_() if isinstance(value, torch.Tensor) else value


def _assert_equal(kernel, plain, inputs, dtype):
    """Compare a kernel with the plain form in float32 of the same rounded inputs."""
    results = _outputs_and_gradients(kernel, inputs, dtype)
    expected = _outputs_and_gradients(plain, [_in_float32(value) for value in inputs], dtype)
    assert all(result.dtype == dtype for result in results)
    for number, (result, reference) in enumerate(zip(results, expected, strict=True)):
        scale = max(1.0, reference.abs().max().item())
        difference = (result.float() - reference.float()).abs().max().item() / scale
        assert difference < TOLERANCE[dtype], f"result or gradient {number} differs by {difference}"


@DTYPES
@pytest.mark.parametrize(
    ("windows", "length", "heads", "width"),
    [(30, 5, 3, 64), (13, 7, 2, 24), (3, 48, 2, 16), (1, 1, 1, 64), (2, 65, 1, 16), (12, 5, 1, 64), (13, 5, 1, 64)],
)
def test_packed_attention_equals_attention_of_pytorch(windows, length, heads, width, dtype):
    qkv = _random(windows, length, 3 * heads * width, dtype=dtype)
    _assert_equal(attention.attend_fused, attention.attend_plain, (qkv, heads), dtype)


@pytest.mark.parametrize(("windows", "length", "heads", "width"), [(30, 5, 3, 64), (13, 7, 2, 24), (2, 48, 1, 8)])
def test_attention_of_training_on_a_cpu_equals_attention_of_pytorch(windows, length, heads, width):
    qkv = _random(windows, length, 3 * heads * width).cpu().detach().requires_grad_()
    results = _outputs_and_gradients(attention.attend, (qkv, heads))
    plain = _outputs_and_gradients(attention.attend_plain, (qkv, heads))
    for result, expected in zip(results, plain, strict=True):
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-4)


def test_windows_do_not_attend_to_each_other():
    qkv = _random(13, 5, 96).detach()
    changed = qkv.clone()
    changed[7] = 100.0
    before, after = (attention.attend_fused(inputs, 2) for inputs in (qkv, changed))
    others = [window for window in range(13) if window != 7]
    assert torch.equal(before[others], after[others])


def test_large_scores_do_not_overflow():
    qkv = _random(4, 5, 96, scale=300.0)
    assert all(result.isfinite().all() for result in _outputs_and_gradients(attention.attend_fused, (qkv, 2)))


@DTYPES
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("shape", [(67, 384), (3, 7, 200), (1, 16)])
def test_the_norm_of_the_stream_equals_that_of_pytorch(shape, has_bias, dtype, monkeypatch):
    monkeypatch.setattr(stream_norm, "_PROGRAMS", 4)  # few, so that each program sums over several blocks of rows
    stream = _random(*shape, dtype=dtype)
    bias, weight, shift = (_random(shape[-1], dtype=dtype, scale=scale) for scale in (0.1, 1.5, 1.0))
    inputs = (stream, bias if has_bias else None, weight, shift)
    _assert_equal(stream_norm.stream_norm, stream_norm.stream_norm_plain, inputs, dtype)


@DTYPES
@pytest.mark.parametrize("shape", [(67, 384), (3, 7, 200), (1, 16)])
def test_the_norm_of_patches_with_positions_equals_that_of_pytorch(shape, dtype, monkeypatch):
    monkeypatch.setattr(stream_norm, "_PROGRAMS", 4)
    positions = _random(48, shape[-1]).detach()
    visible = torch.randint(0, 48, shape[:-1], generator=torch.Generator().manual_seed(1)).to(DEVICE)
    bias, weight, shift = (_random(shape[-1], dtype=dtype, scale=scale) for scale in (0.1, 1.5, 1.0))

    def on(function):
        return lambda *inputs: function(*inputs, positions, visible)

    inputs = (_random(*shape, dtype=dtype), bias, weight, shift)
    _assert_equal(on(stream_norm.token_norm), on(stream_norm.token_norm_plain), inputs, dtype)


SHAPES = pytest.mark.parametrize(("rows", "width", "hidden"), [(130, 20, 300), (64, 8, 128), (1, 3, 5), (33, 200, 70)])


@DTYPES
@SHAPES
def test_the_feed_forward_network_equals_that_of_pytorch(rows, width, hidden, dtype):
    first = _random(hidden, width, dtype=dtype, scale=0.3), _random(hidden, dtype=dtype)
    second = _random(width, hidden, dtype=dtype, scale=0.1), _random(width, dtype=dtype)
    stream, normalized = _random(rows, width, dtype=dtype), _random(1, rows, width, dtype=dtype, scale=0.9)
    weights = [*first, *second]

    bias = weights.pop().detach()  # its gradient is computed by the norm that follows

    def on(function):
        def run(stream, normalized, *weights):
            return function(stream, normalized, weights[:2], (weights[2], bias.to(weights[2].dtype)))

        return run

    inputs = (stream[None].detach().requires_grad_(), normalized, *weights)
    _assert_equal(on(residual_layers.feed_forward), on(residual_layers.feed_forward_plain), inputs, dtype)


@DTYPES
@SHAPES
def test_the_projection_to_the_stream_equals_that_of_pytorch(rows, width, hidden, dtype):
    inputs = (
        _random(2, rows, width, dtype=dtype),
        _random(2, rows, hidden, dtype=dtype),
        _random(width, hidden, dtype=dtype, scale=0.1),
    )
    _assert_equal(residual_layers.project, residual_layers.project_plain, inputs, dtype)


@DTYPES
@SHAPES
def test_products_with_epilogues_equal_those_of_pytorch(rows, width, hidden, dtype):
    inputs, gradient = _random(rows, width, dtype=dtype), _random(rows, 2, dtype=dtype)
    weight, bias = _random(hidden, width, dtype=dtype, scale=0.3), _random(hidden, dtype=dtype)
    out_weight = _random(2, hidden, dtype=dtype)
    with torch.no_grad():
        hidden_values, active = fused_linear.linear_gelu(inputs, weight, bias)
        plain = fused_linear.linear_gelu_plain(inputs.float(), weight.float(), bias.float())
        slope, partial = fused_linear.gelu_gradient(gradient, out_weight, hidden_values)
    slope_plain = fused_linear.gelu_gradient_plain(gradient.float(), out_weight.float(), hidden_values.float())
    for result, exact in zip((hidden_values, active, slope, partial.sum(0, True)), (*plain, *slope_plain), strict=True):
        scale = max(1.0, exact.abs().max().item())
        assert (result.float() - exact).abs().max().item() / scale < TOLERANCE[dtype]


def test_the_gelu_is_exact_to_seven_digits():
    values = torch.linspace(-9, 9, 2_001, device=DEVICE)[:, None]
    one, zero = torch.ones(1, 1, device=DEVICE), torch.zeros(1, device=DEVICE)
    _, active = fused_linear.linear_gelu(values, one, zero)
    exact = torch.nn.functional.gelu(values.double())
    assert (active - exact).abs().max() < 5e-7


@DTYPES
@pytest.mark.parametrize(
    ("n_mels", "shape", "columns", "patches"),
    [(128, (16, 16), 6, 48), (128, (128, 2), 48, 48), (64, (16, 16), 6, 24), (64, (64, 2), 48, 48)],
)
@pytest.mark.parametrize(("windows", "n_visible"), [(13, 5), (1, 24), (9, 1)])
def test_cells_are_gathered_dequantized_and_normalized_as_in_pytorch(
    n_mels, shape, columns, patches, windows, n_visible, dtype
):
    generator = torch.Generator().manual_seed(windows)
    codes = torch.randint(0, 256, (500, n_mels), dtype=torch.uint8, generator=generator).to(DEVICE)
    starts = torch.randint(0, 405, (windows,), generator=generator).to(DEVICE)
    starts[-1] = 404  # the last patch of this window ends where the codes end
    visible = torch.rand(windows, patches, generator=generator).topk(n_visible).indices.to(DEVICE)
    table = torch.logspace(-6, 4, 256, device=DEVICE)
    inputs = (codes, starts, visible, table, cells.PatchLayout(shape, columns), dtype)
    result, plain = cells.normalized_cells_fused(*inputs), cells.normalized_cells_plain(*inputs)
    assert result.dtype == plain.dtype == dtype
    torch.testing.assert_close(result, plain, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


def test_patches_that_do_not_suit_the_kernel_are_normalized_without_it(monkeypatch):
    """A vertical patch of 80 mel bins has 160 cells, which is no size of a Triton block."""
    layouts = [cells.PatchLayout((80, 2), 48), cells.PatchLayout((16, 16), 6)]
    assert [layout.suits_kernel for layout in layouts] == [False, True]
    monkeypatch.setattr(cells, "uses_kernels", lambda _: True)
    codes = torch.randint(0, 256, (200, 80), dtype=torch.uint8, device=DEVICE)
    starts, visible = torch.tensor([0, 104], device=DEVICE), torch.tensor([[0, 47], [3, 2]], device=DEVICE)
    table = torch.linspace(0, 1, 256, device=DEVICE)
    result = cells.normalized_cells(codes, starts, visible, table, layouts[0], torch.float32)
    expected = table[codes[104 + 6 : 104 + 8].T.flatten().long()]
    expected = (expected - expected.mean()) / (expected.var(correction=0) + cells.EPSILON).sqrt()
    torch.testing.assert_close(result[1, 0], expected, atol=1e-5, rtol=1e-5)


def test_silence_becomes_zeros():
    codes = torch.zeros(96, 128, dtype=torch.uint8, device=DEVICE)
    start, visible = torch.zeros(1, dtype=torch.int64, device=DEVICE), torch.arange(5, device=DEVICE)[None]
    table = torch.ones(256, device=DEVICE)
    result = cells.normalized_cells_fused(codes, start, visible, table, cells.PatchLayout((16, 16), 6), torch.float32)
    assert not result.any()


@pytest.mark.parametrize(("windows", "patches", "visible"), [(77, 48, 5), (1, 49, 13), (33, 12, 12), (32, 1, 1)])
def test_masks_of_the_kernel_equal_those_of_pytorch(windows, patches, visible):
    key = torch.tensor(-(2**62) + 12345, device=DEVICE)
    numbers = torch.arange(windows, device=DEVICE) * 1_000_003
    chosen = mask.top_patches_fused(key, numbers, patches, visible)
    assert torch.equal(chosen, mask.top_patches_plain(key, numbers, patches, visible))


def test_random_numbers_are_splitmix64_of_a_counter():
    def splitmix(state):
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        return state ^ (state >> 31)

    key, windows = -987654321987654321, [0, 3, 2**40]
    numbers = mask.random_numbers(torch.tensor(key), torch.tensor(windows), 7)
    expected = [
        [splitmix((key + (w * 7 + p + 1) * 0x9E3779B97F4A7C15) % 2**64) >> 1 for p in range(7)] for w in windows
    ]
    assert numbers.tolist() == expected


def test_blocks_are_powers_of_two():
    assert [power_of_two(size) for size in (1, 2, 3, 64, 65)] == [1, 2, 4, 64, 128]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton's wheels are for Linux")
def test_kernels_compile_for_an_h200_without_register_spills_in_bfloat16(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    # a separate process, because this one interprets kernels
    command = [sys.executable, TESTS / "support" / "compiled_encoder_kernels.py"]
    paths = {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(TESTS.parent)}
    process = subprocess.run(command, env=environment | paths, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    rows = {row["kernel"]: row for row in map(json.loads, process.stdout.splitlines())}
    assert len(rows) == 19
    for name, row in rows.items():
        assert row["shared_bytes"] <= MULTIPROCESSOR_BYTES, row
        assert row["stack_bytes"] == 0, row
        multiplies = name.startswith(("attention", "linear", "gelu"))
        assert row["tensor_cores"] == (multiplies and "fp32" not in name), row
