"""How the learning rate moves, what each optimizer does in a step, and that its state comes back."""

from __future__ import annotations

import math

import pytest
import tiny
import torch

from model.training import optimizer
from model.training.config import OPTIMIZERS
from model.training.learner import ModelWithHead


def _rates(**changed):
    config = tiny.train_config(**{"learning_rate": 1.0, **changed})
    return [optimizer.learning_rate(config, step) for step in range(config.steps)]


def test_constant_stays_what_it_is():
    assert _rates() == [1.0] * 8


def test_warm_up_rises_in_even_steps_and_reaches_the_full_rate_with_its_last_one():
    assert _rates(warmup_steps=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_cosine_starts_full_is_half_in_the_middle_and_would_be_0_after_the_last_step():
    rates = _rates(schedule="cosine")
    assert rates[0] == 1.0
    assert rates[4] == pytest.approx(0.5)
    assert rates == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)])
    assert optimizer.learning_rate(tiny.train_config(schedule="cosine"), 8) == pytest.approx(0.0)


def test_cosine_falls_over_what_warm_up_leaves():
    rates = _rates(schedule="cosine", warmup_steps=4)
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[6] == pytest.approx(0.5)
    assert sorted(rates[4:], reverse=True) == rates[4:]


def test_a_warm_up_as_long_as_the_run_or_longer_only_rises():
    assert _rates(schedule="cosine", warmup_steps=8)[-1] == 1.0
    assert _rates(schedule="cosine", warmup_steps=16)[-1] == 0.5


def _one_step(weight_decay, gradient, **changed):
    config = tiny.train_config(weight_decay=weight_decay, learning_rate=0.1, **changed)
    learner = ModelWithHead(config)
    adam = optimizer.build(learner, config)
    before = learner.linear_head.weight.detach().clone()
    for parameter in learner.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    adam.step()
    return before, learner.linear_head.weight.detach()


def test_the_first_step_is_the_learning_rate_against_the_gradients_sign():
    before, after = _one_step(0.0, 3.0)
    torch.testing.assert_close(after, before - 0.1)


def test_decay_is_added_to_the_gradient_and_not_taken_off_the_weights():
    before, after = _one_step(0.5, 0.0)
    # L2 in the gradient: Adam normalises it away, and every weight moves by the learning rate towards 0
    expected = before - 0.1 * before.sign()
    torch.testing.assert_close(after[before.abs() > 1e-4], expected[before.abs() > 1e-4], atol=1e-4, rtol=0)


def test_all_weights_are_trained():
    config = tiny.train_config("hybrid")
    learner = ModelWithHead(config)
    groups = optimizer.build(learner, config).param_groups
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in learner.parameters()}


def _with_gradients(**changed):
    config = tiny.train_config("hybrid", **changed)
    learner = ModelWithHead(config)
    for weight in learner.parameters():
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    squares = [float(number) ** 2 for weight in learner.parameters() for number in weight.grad.flatten()]
    return config, learner, math.sqrt(math.fsum(squares))


def test_a_gradient_that_is_too_long_is_scaled_down_to_the_limit_as_a_whole():
    config, learner, norm = _with_gradients(clip_gradient_norm=0.5)
    before = [weight.grad.clone() for weight in learner.parameters()]
    assert float(optimizer.clip_gradients(learner, config)) == pytest.approx(norm, rel=1e-5)
    for weight, then in zip(learner.parameters(), before, strict=True):
        torch.testing.assert_close(weight.grad, then * 0.5 / norm)


def test_a_gradient_that_is_short_enough_keeps_its_bits():
    config, learner, norm = _with_gradients(clip_gradient_norm=1e4)
    before = [weight.grad.clone() for weight in learner.parameters()]
    assert float(optimizer.clip_gradients(learner, config)) == pytest.approx(norm, rel=1e-5)
    assert all(torch.equal(w.grad, then) for w, then in zip(learner.parameters(), before, strict=True))


def test_where_nothing_is_clipped_no_norm_is_computed(monkeypatch):
    config, learner, _ = _with_gradients()
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: 1 / 0)
    assert optimizer.clip_gradients(learner, config) is None


# the update of a first step, gradient 3, rate 0.1, weights w: what the papers' formulas give
FIRST_STEP = {
    "adam": lambda w: torch.full_like(w, -0.1),
    "adamw": lambda w: torch.full_like(w, -0.1),
    # without bias correction m / sqrt(v) is 0.1 / sqrt(0.001) = 3.16 everywhere; its norm is scaled to the weights'
    "lamb": lambda w: torch.full_like(w, -0.1) * w.norm() / w.numel() ** 0.5,
    "lion": lambda w: torch.full_like(w, -0.1),
    "sgd": lambda w: torch.full_like(w, -0.3),
}


def test_there_is_a_formula_for_each():
    assert set(FIRST_STEP) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_step_is_that_of_the_paper(name):
    before, after = _one_step(0.0, 3.0, optimizer=name)
    torch.testing.assert_close(after - before, FIRST_STEP[name](before), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "lamb", "lion"])
def test_decay_is_taken_off_the_weights_by_the_others(name):
    before, after = _one_step(0.5, 0.0, optimizer=name)
    torch.testing.assert_close(after, before * (1 - 0.1 * 0.5))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_and_steps_that_are_put_back_give_the_same_next_step(name):
    config = tiny.train_config(optimizer=name, weight_decay=0.01)
    whole, resumed = ModelWithHead(config), ModelWithHead(config)
    ours, theirs = optimizer.build(whole, config), optimizer.build(resumed, config)
    generator = torch.Generator().manual_seed(0)

    def step(learner, steps_of):
        for weight, gradient in zip(learner.parameters(), steps_of, strict=True):
            weight.grad = gradient.clone()

    for _ in range(3):
        step(whole, [torch.randn(weight.shape, generator=generator) for weight in whole.parameters()])
        ours.step()
    resumed.load_state_dict(whole.state_dict())
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        theirs.state[other] = {moment: ours.state[one][moment].clone() for moment in optimizer.moment_names(ours)}
    optimizer.set_steps(theirs, 3)
    gradients = [torch.randn(weight.shape, generator=generator) for weight in whole.parameters()]
    step(whole, gradients), step(resumed, gradients)
    ours.step(), theirs.step()
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
