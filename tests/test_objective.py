"""One call for every contrastive objective."""

from __future__ import annotations

import pytest
import torch

from model.objectives import objective
from model.objectives.config import preset
from model.objectives.global_contrastive import GlobalContrastive
from model.objectives.infonce import infonce
from model.objectives.mbcl import mbcl


@pytest.mark.parametrize(("name", "loss"), [("infonce", infonce), ("mbcl", mbcl)])
def test_those_of_a_batch_are_the_losses_of_their_name_without_a_state(name, loss):
    made = objective.build(preset(name), 2, 0)
    first, second = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made(first, second, torch.arange(4), 0, 0), loss(first, second, 0.1))
    assert not made.state_dict()
    assert made.readings(0) == {}


def test_the_global_ones_remember_as_many_clips_and_kinds_as_there_are():
    made = objective.build(preset("isogclr"), 2, 30)
    assert isinstance(made, GlobalContrastive)
    assert {tuple(state.shape) for state in made.state_dict().values()} == {(2, 30)}
