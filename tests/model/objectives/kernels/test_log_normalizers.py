"""The kernel compared with plain PyTorch, and plain PyTorch with loops in float64.

Tests use every comparison rule, odd sizes and several ranks.
"""

from __future__ import annotations

import math

import pytest
import torch
import view_pairs

from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.log_normalizers import log_normalizers_fused, log_normalizers_plain

# float32 is summed in another order on a GPU and, with smaller differences, in the interpreter
TOLERANCE = {"rtol": 1e-5, "atol": 2e-6}


@pytest.mark.parametrize("comparisons", Comparisons)
@pytest.mark.parametrize("rank", [0, 1])
def test_plain_equals_the_loop_over_compared_views(comparisons, rank):
    views = view_pairs.draw(rows=6, width=5, ranks=2, rank=rank, dtype=torch.float64)
    logs, means = log_normalizers_plain(views.own, views.all_views, views.temperature, comparisons, views.own_start)
    for i in range(6):
        t = float(views.temperature[i])
        compared = view_pairs.compared_views(i, views, comparisons)
        similarities = [float(views.own[i] @ views.all_views[j]) for j in compared]
        z = sum(math.exp(s / t) for s in similarities)
        assert logs[i].item() == pytest.approx(math.log(z), rel=1e-12)
        assert means[i].item() == pytest.approx(sum(s * math.exp(s / t) for s in similarities) / z, rel=1e-12)


@pytest.mark.parametrize("comparisons", Comparisons)
@pytest.mark.parametrize("sizes", view_pairs.SIZES, ids=str)
@pytest.mark.parametrize("tiling", view_pairs.TILINGS, ids=str)
def test_the_kernel_equals_the_plain_form(comparisons, sizes, tiling):
    views = view_pairs.draw(*sizes)
    arguments = (views.own, views.all_views, views.temperature, comparisons, views.own_start)
    with view_pairs.poisoned():
        results = log_normalizers_fused(*arguments, tiling)
    for result, plain in zip(results, log_normalizers_plain(*arguments), strict=True):
        assert result.dtype == torch.float32
        torch.testing.assert_close(result, plain, **TOLERANCE)


def test_a_low_temperature_neither_overflows_nor_underflows():
    views = view_pairs.draw(10, 8)
    temperature = torch.full_like(views.temperature, 0.004)  # float32 cannot represent exp(1 / 0.004)
    for features in (views.all_views, -views.all_views):
        logs, _ = log_normalizers_fused(views.own, features, temperature, Comparisons.NEGATIVES, 0)
        exact, _ = log_normalizers_plain(views.own, features, temperature, Comparisons.NEGATIVES, 0)
        torch.testing.assert_close(logs, exact, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("comparisons", Comparisons)
@pytest.mark.parametrize("sizes", [*view_pairs.SIZES, *view_pairs.LARGE_SIZES], ids=str)
def test_in_bfloat16_the_kernel_equals_the_plain_form_on_the_same_rounded_features(comparisons, sizes):
    views = view_pairs.draw(*sizes)
    own, all_views = views.own.bfloat16(), views.all_views.bfloat16()
    with view_pairs.poisoned():
        results = log_normalizers_fused(own, all_views, views.temperature, comparisons, views.own_start)
    plain = log_normalizers_plain(own.float(), all_views.float(), views.temperature, comparisons, views.own_start)
    for result, exact in zip(results, plain, strict=True):
        torch.testing.assert_close(result, exact, rtol=1e-4, atol=1e-4)
