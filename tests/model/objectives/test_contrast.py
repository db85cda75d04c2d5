"""Views and their comparison on one rank; `test_ranks` tests several ranks."""

from __future__ import annotations

import pytest
import torch

from model.objectives.contrast import Views, contrastive_loss
from model.objectives.kernels.comparisons import Comparisons
from model.objectives.kernels.repulsion import Anchors

# first views of clips 0 to 2, then second views
CLIP, SIDE = [0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1]


def _views():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 3, 5, generator=generator)
    return Views.gather(first.requires_grad_(), second.requires_grad_())


def test_the_partner_of_a_view_is_the_other_view_of_its_clip():
    views = _views()
    for i in range(6):
        (partner,) = (j for j in range(6) if CLIP[j] == CLIP[i] and SIDE[j] != SIDE[i])
        assert torch.equal(views.partners[i], views.all_views[partner])
        assert views.positives[i].item() == pytest.approx(float(views.all_views[i] @ views.all_views[partner]))


def test_all_views_have_length_one_and_only_own_views_have_a_gradient():
    views = _views()
    assert views.all_views.norm(dim=1).tolist() == pytest.approx(6 * [1.0])
    assert torch.equal(views.own, views.all_views)
    assert views.own.requires_grad
    assert not any(features.requires_grad for features in (views.all_views, views.partners, views.positives))


def test_the_gradient_is_that_of_the_weighted_sum_over_anchors():
    views = _views()
    generator = torch.Generator().manual_seed(1)
    log_normalizer, temperature, weight = torch.rand(3, 6, generator=generator) + 0.5
    losses = torch.rand(6, generator=generator)
    loss = contrastive_loss(views, Comparisons.NEGATIVES, Anchors(log_normalizer, temperature, weight), losses)
    (gradient,) = torch.autograd.grad(loss, views.own)
    free = views.own.detach().requires_grad_()
    similarity = views.all_views @ views.all_views.T
    total = torch.zeros(())
    for i in range(6):
        total = total - weight[i] * free[i] @ free[3 + i if i < 3 else i - 3]
        for j in range(6):
            if CLIP[i] != CLIP[j]:
                repulsion = weight[i] * (similarity[i, j] / temperature[i] - log_normalizer[i]).exp()
                total = total + repulsion * (free[i] @ free[j])
    (expected,) = torch.autograd.grad(total / 6, free)
    torch.testing.assert_close(gradient, expected)
    assert loss.item() == pytest.approx(losses.mean().item())
