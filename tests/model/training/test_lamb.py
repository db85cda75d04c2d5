"""LAMB compared with FastCLIP's rule in loops of float64, and with the rule that limits the norms of weights."""

from __future__ import annotations

import math

import pytest
import pytorch_optimizer
import tiny
import torch

from model.training import optimizer
from model.training.lamb import Lamb
from model.training.learner import ModelWithHead

RATE, STEPS = 0.01, 6


def _gradients(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(STEPS)]


def _weights(norm, shape=(6, 5)):
    weights = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    return torch.nn.Parameter(weights * norm / weights.norm())


def _train(weights, updates):
    """Return the weights after each step."""
    history = []
    for gradient in _gradients(weights.shape):
        weights.grad = gradient
        updates.step()
        history.append(weights.detach().clone())
    return history


def _loop(weights, decay):
    """Compute FastCLIP's rule number by number."""
    values = weights.detach().flatten().tolist()
    means, squares, history = [0.0] * len(values), [0.0] * len(values), []
    for step, gradient in enumerate(_gradients(weights.shape), start=1):
        updates = []
        for i, slope in enumerate(gradient.flatten().tolist()):
            means[i] = 0.9 * means[i] + 0.1 * slope
            squares[i] = 0.999 * squares[i] + 0.001 * slope**2
            mean, square = means[i] / (1 - 0.9**step), squares[i] / (1 - 0.999**step)
            updates.append(mean / (math.sqrt(square) + 1e-6) + decay * values[i])
        norm, update_norm = math.hypot(*values), math.hypot(*updates)
        trust = norm / update_norm if decay and norm and update_norm else 1.0
        values = [value - RATE * trust * update for value, update in zip(values, updates, strict=True)]
        history.append(torch.tensor(values, dtype=torch.float64).view(weights.shape))
    return history


@pytest.mark.parametrize("norm", [0.0, 0.3, 40.0])
@pytest.mark.parametrize("decay", [0.0, 1e-5, 0.1])
def test_every_step_equals_the_loop(norm, decay):
    weights = _weights(norm)
    expected = _loop(weights, decay)
    steps = _train(weights, Lamb([{"params": [weights], "weight_decay": decay}], lr=RATE))
    for step, loop_step in zip(steps, expected, strict=True):
        torch.testing.assert_close(step, loop_step, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("norm", "share"), [(8.0, 1.0), (11.4, 0.88), (22.7, 0.44)])
def test_the_norm_of_weights_is_not_limited_to_10(norm, share):
    ours, limited = _weights(norm), _weights(norm)
    before = ours.detach().clone()
    step = _train(ours, Lamb([{"params": [ours], "weight_decay": 1e-5}], lr=RATE))[0] - before
    other = pytorch_optimizer.Lamb([limited], lr=RATE, weight_decay=1e-5, adam_debias=True)
    limited_step = _train(limited, other)[0] - before
    assert float(step.norm()) == pytest.approx(RATE * norm, rel=1e-3)
    assert float(limited_step.norm() / step.norm()) == pytest.approx(share, abs=0.005)


def test_biases_and_gains_have_neither_decay_nor_a_trust_ratio():
    config = tiny.train_config("hybrid", optimizer="lamb", weight_decay=0.5)
    model = ModelWithHead(config)
    matrices, vectors = optimizer.build(model, config).param_groups
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.5, 0.0)
    assert {weight.ndim for weight in matrices["params"]} == {2}
    assert {weight.ndim for weight in vectors["params"]} == {1}


def test_a_weight_without_a_gradient_stays_as_it_is():
    weights, idle = _weights(1.0), _weights(2.0)
    before = idle.detach().clone()
    _train(weights, Lamb([{"params": [weights, idle], "weight_decay": 0.1}], lr=RATE))
    assert torch.equal(idle, before)
