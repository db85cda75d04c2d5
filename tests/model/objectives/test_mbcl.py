"""The mini-batch contrastive loss compared with the two cross-entropies of OpenCLIP, computed in float64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from beartype import beartype
from jaxtyping import jaxtyped

from model.objectives.infonce import infonce
from model.objectives.mbcl import mbcl
from stores.errors import InvalidInput


def _views(batch=7, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, batch, 16, dtype=torch.float64, generator=generator)
    return a.to(dtype).requires_grad_(), (b + a / 2).detach().to(dtype).requires_grad_()


def _openclip(a, b, temperature):
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature
    labels = torch.arange(len(a))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("batch", [2, 7])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_value_and_gradients_equal_those_of_both_cross_entropies(temperature, batch, dtype, tolerance):
    a, b = _views(batch, dtype)
    exact_a, exact_b = (view.detach().double().requires_grad_() for view in (a, b))
    loss, exact = mbcl(a, b, temperature), _openclip(exact_a, exact_b, temperature)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(exact.item(), rel=tolerance, abs=tolerance)
    grads = torch.autograd.grad(loss, (a, b))
    for grad, expected in zip(grads, torch.autograd.grad(exact, (exact_a, exact_b)), strict=True):
        assert torch.allclose(grad.double(), expected, atol=tolerance / temperature)


def test_views_of_the_same_side_do_not_count():
    a, _ = _views()
    near = a + 0.1 * a.roll(1, 0)
    assert mbcl(a, near, 0.1) < infonce(a, near, 0.1)
    same = torch.ones(8, 4)
    assert mbcl(same, same, 0.1).item() == pytest.approx(math.log(8), rel=1e-6)


def test_unusable_arguments_raise_an_error():
    with pytest.raises(InvalidInput, match="B of at least 2"):
        mbcl(torch.ones(1, 4), torch.ones(1, 4), 0.1)
    with pytest.raises(InvalidInput, match=r"temperature must be positive \(got -0\.1\)"):
        mbcl(torch.ones(2, 4), torch.ones(2, 4), -0.1)


def test_shapes_and_types_match_the_annotations():
    jaxtyped(mbcl, typechecker=beartype)(*_views(dtype=torch.float32), 0.1)
