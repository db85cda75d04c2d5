"""InfoNCE compared with a loop in float64, and the alignment and uniformity of embeddings."""

from __future__ import annotations

import math

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped

from model.objectives.geometry import alignment, uniformity
from model.objectives.infonce import infonce
from stores.errors import InvalidInput


def _views(batch=7, width=16, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(batch, width, dtype=torch.float64, generator=generator)
    b = 0.5 * a + torch.randn(batch, width, dtype=torch.float64, generator=generator)
    return a.to(dtype).requires_grad_(), b.to(dtype).requires_grad_()


def _brute_force(a, b, temperature):
    """Compute the formula row by row."""
    views = [row / row.norm() for row in (*a, *b)]
    losses = []
    for i, view in enumerate(views):
        partner = (i + len(a)) % len(views)
        scores = {j: (view @ other) / temperature for j, other in enumerate(views) if j != i}
        losses.append(torch.stack(list(scores.values())).logsumexp(0) - scores[partner])
    return torch.stack(losses).mean()


@pytest.mark.parametrize("temperature", [0.1, 0.01, 1.0])
@pytest.mark.parametrize("batch", [2, 7])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_value_and_gradients_equal_the_loop(temperature, batch, dtype, tolerance):
    a, b = _views(batch, dtype=dtype)
    exact_a, exact_b = (view.detach().double().requires_grad_() for view in (a, b))
    loss, exact = infonce(a, b, temperature), _brute_force(exact_a, exact_b, temperature)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(exact.item(), rel=tolerance, abs=tolerance)
    grads = torch.autograd.grad(loss, (a, b))
    for grad, expected in zip(grads, torch.autograd.grad(exact, (exact_a, exact_b)), strict=True):
        assert torch.allclose(grad.double(), expected, atol=tolerance / temperature)


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_embeddings_give_a_finite_loss_at_a_low_temperature(autocast):
    a, b = _views(32, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = infonce(a, b, 0.01)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(_brute_force(a.double(), b.double(), 0.01).item(), rel=1e-5)
    loss.backward()
    assert all(view.grad.isfinite().all() for view in (a, b))


def test_autocast_does_not_change_the_loss():
    a, b = _views(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = infonce(a, b, 0.1)
    assert torch.equal(inside, infonce(a, b, 0.1))


def test_the_order_of_clips_and_sides_and_the_lengths_do_not_matter():
    a, b = _views()
    order = torch.randperm(len(a))
    loss = infonce(a, b, 0.1)
    for other in (infonce(a[order], b[order], 0.1), infonce(b, a, 0.1), infonce(3 * a, 1e-3 * b, 0.1)):
        assert other.item() == pytest.approx(loss.item(), rel=1e-12)


def test_wrong_partners_give_a_higher_loss():
    a, b = _views()
    assert infonce(a, b.roll(1, 0), 0.1) > infonce(a, b, 0.1)


def test_equal_views_give_the_logarithm_of_the_number_of_choices():
    same = torch.ones(8, 4)
    assert infonce(same, same, 0.1).item() == pytest.approx(math.log(15), rel=1e-6)


def test_equal_partners_far_from_all_other_views_give_a_loss_of_zero():
    apart = torch.eye(8)
    assert infonce(apart, apart, 0.01).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "temperature", "message"),
    [
        (torch.ones(1, 4), torch.ones(1, 4), 0.1, "B of at least 2"),
        (torch.ones(3, 4), torch.ones(2, 4), 0.1, r"shapes \[3, 4\] and \[2, 4\]"),
        (torch.ones(2, 4), torch.ones(2, 4), 0.0, r"temperature must be positive \(got 0\.0\)"),
    ],
)
def test_unusable_arguments_raise_an_error(a, b, temperature, message):
    with pytest.raises(InvalidInput, match=message):
        infonce(a, b, temperature)


def test_alignment_is_the_squared_distance_of_partners_on_the_sphere():
    east, north = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    assert [alignment(east, other).item() for other in (3 * east, north, -east)] == pytest.approx([0, 2, 4])


def test_uniformity_equals_the_loop_over_pairs():
    points = _views()[0].detach()
    unit = points / points.norm(dim=1, keepdim=True)
    pairs = [math.exp(-2 * (unit[i] - unit[j]).square().sum()) for i in range(7) for j in range(i)]
    assert uniformity(points).item() == pytest.approx(math.log(sum(pairs) / len(pairs)), rel=1e-5)


def test_uniformity_is_zero_for_equal_embeddings_and_needs_two():
    assert uniformity(torch.ones(5, 3)).item() == pytest.approx(0, abs=1e-5)
    with pytest.raises(InvalidInput, match=r"uniformity needs at least 2 embeddings \(got 1\)"):
        uniformity(torch.ones(1, 3))


def test_alignment_and_uniformity_have_no_gradient():
    a, b = _views()
    assert not alignment(a, b).requires_grad
    assert not uniformity(a).requires_grad


def test_shapes_and_types_match_the_annotations():
    a, b = _views(dtype=torch.float32)
    for function, arguments in ((infonce, (a, b, 0.1)), (alignment, (a, b)), (uniformity, (a,))):
        jaxtyped(function, typechecker=beartype)(*arguments)
