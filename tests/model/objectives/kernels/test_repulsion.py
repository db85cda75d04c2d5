"""The kernel against plain PyTorch, and that against loops in float64: every kind of keys, odd sizes, several ranks."""

from __future__ import annotations

import math

import pytest
import torch
import view_pairs

from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.repulsion import repulsion_fused, repulsion_plain


@pytest.mark.parametrize("keys", Comparisons)
@pytest.mark.parametrize("rank", [0, 1])
def test_plain_equals_the_loop_over_keys(keys, rank):
    drawn = view_pairs.draw(rows=6, width=5, ranks=2, rank=rank, dtype=torch.float64)
    pushed = repulsion_plain(drawn.own, drawn.everyone, drawn.anchors, keys, drawn.first)
    logs, temperature, weight = drawn.anchors.log_normaliser, drawn.anchors.temperature, drawn.anchors.weight
    for k in range(6):
        total = torch.zeros(5, dtype=torch.float64, device=view_pairs.DEVICE)
        for j in view_pairs.keys_of(k, drawn, keys):
            similarity = float(drawn.own[k] @ drawn.everyone[j])
            for anchor in (drawn.first + k, j):
                q = math.exp(similarity / temperature[anchor] - logs[anchor])
                total += weight[anchor] * q * drawn.everyone[j]
        torch.testing.assert_close(pushed[k], total, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("keys", Comparisons)
@pytest.mark.parametrize("sizes", view_pairs.SIZES, ids=str)
@pytest.mark.parametrize("tiling", view_pairs.TILINGS, ids=str)
def test_the_kernel_equals_the_plain_form(keys, sizes, tiling):
    drawn = view_pairs.draw(*sizes)
    arguments = (drawn.own, drawn.everyone, drawn.anchors, keys, drawn.first)
    with view_pairs.poisoned():
        pushed = repulsion_fused(*arguments, tiling)
    plain = repulsion_plain(*arguments)
    assert pushed.dtype == torch.float32
    torch.testing.assert_close(pushed, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))


@view_pairs.ON_A_GPU
@pytest.mark.parametrize("keys", Comparisons)
@pytest.mark.parametrize("sizes", [*view_pairs.SIZES, (8192, 128), (1030, 200)], ids=str)
def test_in_bfloat16_the_kernel_is_as_close_as_weights_of_8_bits_are(keys, sizes):
    drawn = view_pairs.draw(*sizes)
    own, everyone = drawn.own.bfloat16(), drawn.everyone.bfloat16()
    with view_pairs.poisoned():
        pushed = repulsion_fused(own, everyone, drawn.anchors, keys, drawn.first)
    plain = repulsion_plain(own.float(), everyone.float(), drawn.anchors, keys, drawn.first)
    torch.testing.assert_close(pushed, plain, rtol=2**-7, atol=2**-8 * float(plain.abs().max()))
