"""How the learning rate moves, and what Adam does with the decay term."""

from __future__ import annotations

import math

import pytest
import tiny
import torch

from model.training import optimizer
from model.training.learner import Learner


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


def _one_step(weight_decay, gradient):
    config = tiny.train_config(weight_decay=weight_decay, learning_rate=0.1)
    learner = Learner(config)
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
    learner = Learner(config)
    groups = optimizer.build(learner, config).param_groups
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in learner.parameters()}
