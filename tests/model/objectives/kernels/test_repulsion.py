"""The kernel compared with plain PyTorch, and plain PyTorch with loops in float64.

Tests use every comparison rule, odd sizes and several ranks.
"""

from __future__ import annotations

import math

import pytest
import torch
import view_pairs

from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.repulsion import repulsion_fused, repulsion_plain


@pytest.mark.parametrize("comparisons", Comparisons)
@pytest.mark.parametrize("rank", [0, 1])
def test_plain_equals_the_loop_over_compared_views(comparisons, rank):
    views = view_pairs.draw(rows=6, width=5, ranks=2, rank=rank, dtype=torch.float64)
    gradients = repulsion_plain(views.own, views.all_views, views.anchors, comparisons, views.own_start)
    logs, temperature, weight = views.anchors.log_normalizer, views.anchors.temperature, views.anchors.weight
    for k in range(6):
        total = torch.zeros(5, dtype=torch.float64, device=view_pairs.DEVICE)
        for j in view_pairs.compared_views(k, views, comparisons):
            similarity = float(views.own[k] @ views.all_views[j])
            for anchor in (views.own_start + k, j):
                q = math.exp(similarity / temperature[anchor] - logs[anchor])
                total += weight[anchor] * q * views.all_views[j]
        torch.testing.assert_close(gradients[k], total, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("comparisons", Comparisons)
@pytest.mark.parametrize("sizes", view_pairs.SIZES, ids=str)
@pytest.mark.parametrize("tiling", view_pairs.TILINGS, ids=str)
def test_the_kernel_equals_the_plain_form(comparisons, sizes, tiling):
    views = view_pairs.draw(*sizes)
    arguments = (views.own, views.all_views, views.anchors, comparisons, views.own_start)
    with view_pairs.poisoned():
        gradients = repulsion_fused(*arguments, tiling)
    plain = repulsion_plain(*arguments)
    assert gradients.dtype == torch.float32
    torch.testing.assert_close(gradients, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))


@pytest.mark.parametrize("comparisons", Comparisons)
@pytest.mark.parametrize("sizes", [*view_pairs.SIZES, *view_pairs.LARGE_SIZES], ids=str)
def test_in_bfloat16_the_kernel_is_as_close_as_its_8_bit_weights_allow(comparisons, sizes):
    views = view_pairs.draw(*sizes)
    own, all_views = views.own.bfloat16(), views.all_views.bfloat16()
    with view_pairs.poisoned():
        gradients = repulsion_fused(own, all_views, views.anchors, comparisons, views.own_start)
    plain = repulsion_plain(own.float(), all_views.float(), views.anchors, comparisons, views.own_start)
    torch.testing.assert_close(gradients, plain, rtol=2**-7, atol=2**-8 * float(plain.abs().max()))
