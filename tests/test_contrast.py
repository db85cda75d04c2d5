"""Who is compared with whom, on one rank; many are in test_ranks."""

from __future__ import annotations

import pytest
import torch

from model.objectives.contrast import Anchors, Views, contrastive_loss

# first views of clips 0 to 2, then second ones
CLIP, SIDE = [0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1]


def _views():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 3, 5, generator=generator)
    return Views.gather(first.requires_grad_(), second.requires_grad_())


def test_views_are_told_apart_by_clip_and_side():
    views = _views()
    for i in range(6):
        assert CLIP[views.partner[i]] == CLIP[i]
        assert SIDE[views.partner[i]] != SIDE[i]
        for j in range(6):
            assert views.others[i, j] == (i != j)
            assert views.negatives[i, j] == (CLIP[i] != CLIP[j])
            assert views.other_side[i, j] == (SIDE[i] != SIDE[j])


def test_similarity_is_the_cosine_and_only_own_views_have_a_gradient():
    views = _views()
    assert views.similarity.diagonal().tolist() == pytest.approx(6 * [1.0])
    torch.testing.assert_close(views.similarity, views.own.detach() @ views.own.detach().T)
    assert views.own.requires_grad
    assert not views.everyone.requires_grad
    assert not views.similarity.requires_grad


def test_the_gradient_is_that_of_the_weighted_sum_over_anchors_with_temperatures_of_their_own():
    views = _views()
    generator = torch.Generator().manual_seed(1)
    log_normaliser, temperature, weight = torch.rand(3, 6, generator=generator) + 0.5
    losses = torch.rand(6, generator=generator)
    loss = contrastive_loss(views, views.negatives, Anchors(log_normaliser, temperature, weight), losses)
    (found,) = torch.autograd.grad(loss, views.own)
    free = views.own.detach().requires_grad_()
    total = torch.zeros(())
    for i in range(6):
        total = total - weight[i] * free[i] @ free[views.partner[i]]
        for j in range(6):
            if CLIP[i] != CLIP[j]:
                pushed = weight[i] * (views.similarity[i, j] / temperature[i] - log_normaliser[i]).exp()
                total = total + pushed * (free[i] @ free[j])
    (expected,) = torch.autograd.grad(total / 6, free)
    torch.testing.assert_close(found, expected)
    assert loss.item() == pytest.approx(losses.mean().item())
