"""Decoupled contrastive learning compared with a loop in float64, with SogCLR at gamma 1, and with InfoNCE."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped

from model.objectives.config import preset
from model.objectives.dcl import dcl
from model.objectives.global_contrastive import GlobalContrastive
from model.objectives.infonce import infonce
from stores.errors import InvalidInput


def _views(batch=7, dtype=torch.float64, seed=0, width=16):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, batch, width, dtype=torch.float64, generator=generator)
    return a.to(dtype).requires_grad_(), (b + a / 2).detach().to(dtype).requires_grad_()


def _brute_force(a, b, temperature):
    """Compute the formula row by row."""
    views = [row / row.norm() for row in (*a, *b)]
    losses = []
    for i, view in enumerate(views):
        partner = (i + len(a)) % len(views)
        negatives = [(view @ other) / temperature for j, other in enumerate(views) if j not in (i, partner)]
        losses.append(torch.stack(negatives).logsumexp(0) - (view @ views[partner]) / temperature)
    return torch.stack(losses).mean()


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("batch", [2, 7])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_value_and_gradients_equal_the_loop(temperature, batch, dtype, tolerance):
    a, b = _views(batch, dtype)
    exact_a, exact_b = (view.detach().double().requires_grad_() for view in (a, b))
    loss, exact = dcl(a, b, temperature), _brute_force(exact_a, exact_b, temperature)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(exact.item(), rel=tolerance, abs=tolerance)
    grads = torch.autograd.grad(loss, (a, b))
    for grad, expected in zip(grads, torch.autograd.grad(exact, (exact_a, exact_b)), strict=True):
        assert torch.allclose(grad.double(), expected, atol=tolerance / temperature)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_sogclr_at_gamma_1_divided_by_the_temperature(seed):
    a, b = _views(32, seed=seed)
    sogclr = GlobalContrastive(replace(preset("sogclr"), gamma=1.0), 1, 32).double()
    loss, divided = dcl(a, b, 0.1), sogclr(a, b, torch.arange(32), 0, 0) / 0.1
    # the paper prints the sum over the 2N - 2 negatives, and SogCLR takes their mean
    assert loss.item() == pytest.approx(divided.item() + math.log(62), rel=6e-16)
    gradients, expected = (torch.cat(torch.autograd.grad(value, (a, b))) for value in (loss, divided))
    assert float((gradients - expected).norm() / expected.norm()) < 6e-16


def test_the_gradient_stays_where_partners_are_close_and_that_of_infonce_fades():
    a, _ = _views(32)
    near = (a + 0.01 * _views(32, seed=1)[0]).detach()
    for temperature in (0.1, 0.05):
        decoupled, coupled = (torch.autograd.grad(loss(a, near, temperature), a)[0] for loss in (dcl, infonce))
        assert coupled.norm() < 0.2 * decoupled.norm()


def test_equal_views_give_the_logarithm_of_the_number_of_negatives():
    same = torch.ones(8, 4)
    assert dcl(same, same, 0.1).item() == pytest.approx(math.log(14), rel=1e-6)


def test_unusable_arguments_raise_an_error():
    with pytest.raises(InvalidInput, match="B of at least 2"):
        dcl(torch.ones(1, 4), torch.ones(1, 4), 0.1)
    with pytest.raises(InvalidInput, match=r"temperature must be positive \(got 0\.0\)"):
        dcl(torch.ones(2, 4), torch.ones(2, 4), 0.0)


def test_shapes_and_types_match_the_annotations():
    jaxtyped(dcl, typechecker=beartype)(*_views(dtype=torch.float32), 0.1)
