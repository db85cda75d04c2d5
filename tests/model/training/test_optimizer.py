"""The learning rate schedule, the first step of each optimizer, gradient clipping, and restored moments."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import tiny
import torch

from model.training import optimizer
from model.training.config import Optimizer
from model.training.learner import ModelWithHead

OPTIMIZERS = get_args(Optimizer)


def _rates(**changed):
    config = tiny.train_config(**{"learning_rate": 1.0, **changed})
    return [optimizer.learning_rate(config, step) for step in range(config.steps)]


def test_the_constant_schedule_is_constant():
    assert _rates() == [1.0] * 8


def test_the_warm_up_is_linear_and_ends_at_the_full_rate():
    assert _rates(warmup_steps=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_the_cosine_falls_from_the_full_rate_to_0_after_the_last_step():
    rates = _rates(schedule="cosine")
    assert rates[0] == 1.0
    assert rates[4] == pytest.approx(0.5)
    assert rates == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)])
    assert optimizer.learning_rate(tiny.train_config(schedule="cosine"), 8) == pytest.approx(0.0)


def test_the_cosine_covers_the_steps_after_the_warm_up():
    rates = _rates(schedule="cosine", warmup_steps=4)
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[6] == pytest.approx(0.5)
    assert sorted(rates[4:], reverse=True) == rates[4:]


def test_a_warm_up_as_long_as_the_run_only_rises():
    assert _rates(schedule="cosine", warmup_steps=8)[-1] == 1.0
    assert _rates(schedule="cosine", warmup_steps=16)[-1] == 0.5


def _first_step(weight_decay, gradient, **changed):
    """Return the weights of the head before and after one step with equal gradients everywhere."""
    config = tiny.train_config(weight_decay=weight_decay, learning_rate=0.1, **changed)
    model = ModelWithHead(config)
    updates = optimizer.build(model, config)
    before = model.linear_head.weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    updates.step()
    return before, model.linear_head.weight.detach()


def test_the_first_step_of_adam_is_the_learning_rate_against_the_gradient():
    before, after = _first_step(0.0, 3.0)
    torch.testing.assert_close(after, before - 0.1)


def test_adam_adds_the_decay_to_the_gradient():
    before, after = _first_step(0.5, 0.0)
    # Adam normalizes the L2 term of the gradient, so every weight moves by the learning rate toward 0
    expected = before - 0.1 * before.sign()
    torch.testing.assert_close(after[before.abs() > 1e-4], expected[before.abs() > 1e-4], atol=1e-4, rtol=0)


def test_all_weights_are_trained():
    config = tiny.train_config("hybrid")
    model = ModelWithHead(config)
    groups = optimizer.build(model, config).param_groups
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in model.parameters()}


def _model_with_gradients(**changed):
    """Return settings, a model with random gradients, and the norm of these gradients."""
    config = tiny.train_config("hybrid", **changed)
    model = ModelWithHead(config)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    squares = [float(number) ** 2 for weight in model.parameters() for number in weight.grad.flatten()]
    return config, model, math.sqrt(math.fsum(squares))


def test_a_gradient_above_the_limit_is_scaled_down_as_a_whole():
    config, model, norm = _model_with_gradients(clip_gradient_norm=0.5)
    gradients = [weight.grad.clone() for weight in model.parameters()]
    assert float(optimizer.clip_gradients(model, config)) == pytest.approx(norm, rel=1e-5)
    for weight, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(weight.grad, gradient * 0.5 / norm)


def test_a_gradient_below_the_limit_keeps_its_bits():
    config, model, norm = _model_with_gradients(clip_gradient_norm=1e4)
    gradients = [weight.grad.clone() for weight in model.parameters()]
    assert float(optimizer.clip_gradients(model, config)) == pytest.approx(norm, rel=1e-5)
    assert all(torch.equal(w.grad, gradient) for w, gradient in zip(model.parameters(), gradients, strict=True))


def test_without_clipping_no_norm_is_computed(monkeypatch):
    config, model, _ = _model_with_gradients()
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: 1 / 0)
    assert optimizer.clip_gradients(model, config) is None


# the update of weights w in the first step by the formulas of the papers, for a gradient of 3 and a rate of 0.1
FIRST_STEP = {
    "adam": lambda w: torch.full_like(w, -0.1),
    "adamw": lambda w: torch.full_like(w, -0.1),
    "lamb": lambda w: torch.full_like(w, -0.1),  # without decay there is no trust ratio
    "lion": lambda w: torch.full_like(w, -0.1),
    "sgd": lambda w: torch.full_like(w, -0.3),
}


def test_every_optimizer_has_a_formula():
    assert set(FIRST_STEP) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_step_is_that_of_the_paper(name):
    before, after = _first_step(0.0, 3.0, optimizer=name)
    torch.testing.assert_close(after - before, FIRST_STEP[name](before), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "lamb", "lion"])
def test_decoupled_decay_is_subtracted_from_the_weights(name):
    before, after = _first_step(0.5, 0.0, optimizer=name)
    # the trust ratio of lamb scales the decay, which is the whole update here, to the norm of the weights
    torch.testing.assert_close(after, before * (1 - 0.1 * (1.0 if name == "lamb" else 0.5)))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_restored_moments_and_steps_give_the_same_next_step(name):
    config = tiny.train_config(optimizer=name, weight_decay=0.01)
    whole, resumed = ModelWithHead(config), ModelWithHead(config)
    whole_updates, resumed_updates = optimizer.build(whole, config), optimizer.build(resumed, config)
    generator = torch.Generator().manual_seed(0)

    def random_gradients():
        return [torch.randn(weight.shape, generator=generator) for weight in whole.parameters()]

    def train_step(model, updates, gradients):
        for weight, gradient in zip(model.parameters(), gradients, strict=True):
            weight.grad = gradient.clone()
        updates.step()

    for _ in range(3):
        train_step(whole, whole_updates, random_gradients())
    resumed.load_state_dict(whole.state_dict())
    for source, target in zip(whole.parameters(), resumed.parameters(), strict=True):
        names = optimizer.moment_names(whole_updates)
        resumed_updates.state[target] = {moment: whole_updates.state[source][moment].clone() for moment in names}
    optimizer.set_steps(resumed_updates, 3)
    gradients = random_gradients()
    train_step(whole, whole_updates, gradients)
    train_step(resumed, resumed_updates, gradients)
    for expected, weight in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(expected, weight)
