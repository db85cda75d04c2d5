"""The kernel against plain PyTorch, and that against loops in float64: every kind of keys, odd sizes, several ranks."""

from __future__ import annotations

import math

import pytest
import torch
import view_pairs

from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.log_normalizers import log_normalizers_fused, log_normalizers_plain

# On a GPU float32 is summed in another order; in the interpreter nearly so
TOLERANCE = {"rtol": 1e-5, "atol": 2e-6}


@pytest.mark.parametrize("keys", Comparisons)
@pytest.mark.parametrize("rank", [0, 1])
def test_plain_equals_the_loop_over_keys(keys, rank):
    drawn = view_pairs.draw(rows=6, width=5, ranks=2, rank=rank, dtype=torch.float64)
    logs, means = log_normalizers_plain(drawn.own, drawn.everyone, drawn.temperature, keys, drawn.first)
    for i in range(6):
        t = float(drawn.temperature[i])
        similarities = [float(drawn.own[i] @ drawn.everyone[j]) for j in view_pairs.keys_of(i, drawn, keys)]
        z = sum(math.exp(s / t) for s in similarities)
        assert logs[i].item() == pytest.approx(math.log(z), rel=1e-12)
        assert means[i].item() == pytest.approx(sum(s * math.exp(s / t) for s in similarities) / z, rel=1e-12)


@pytest.mark.parametrize("keys", Comparisons)
@pytest.mark.parametrize("sizes", view_pairs.SIZES, ids=str)
@pytest.mark.parametrize("tiling", view_pairs.TILINGS, ids=str)
def test_the_kernel_equals_the_plain_form(keys, sizes, tiling):
    drawn = view_pairs.draw(*sizes)
    arguments = (drawn.own, drawn.everyone, drawn.temperature, keys, drawn.first)
    with view_pairs.poisoned():
        found = log_normalizers_fused(*arguments, tiling)
    for mine, plain in zip(found, log_normalizers_plain(*arguments), strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, plain, **TOLERANCE)


def test_a_low_temperature_neither_overflows_nor_vanishes():
    drawn = view_pairs.draw(10, 8)
    temperature = torch.full_like(drawn.temperature, 0.004)  # exp(1 / 0.004) is no float32
    for features in (drawn.everyone, -drawn.everyone):
        logs, _ = log_normalizers_fused(drawn.own, features, temperature, Comparisons.NEGATIVES, 0)
        exact, _ = log_normalizers_plain(drawn.own, features, temperature, Comparisons.NEGATIVES, 0)
        torch.testing.assert_close(logs, exact, rtol=1e-5, atol=1e-4)


@view_pairs.ON_A_GPU
@pytest.mark.parametrize("keys", Comparisons)
@pytest.mark.parametrize("sizes", [*view_pairs.SIZES, (8192, 128), (1030, 200)], ids=str)
def test_in_bfloat16_the_kernel_equals_the_plain_form_on_the_same_rounded_features(keys, sizes):
    drawn = view_pairs.draw(*sizes)
    own, everyone = drawn.own.bfloat16(), drawn.everyone.bfloat16()
    with view_pairs.poisoned():
        found = log_normalizers_fused(own, everyone, drawn.temperature, keys, drawn.first)
    plain = log_normalizers_plain(own.float(), everyone.float(), drawn.temperature, keys, drawn.first)
    for mine, exact in zip(found, plain, strict=True):
        torch.testing.assert_close(mine, exact, rtol=1e-4, atol=1e-4)
