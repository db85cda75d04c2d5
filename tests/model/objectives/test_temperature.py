"""Learned temperatures against PyTorch's Adam, one instance of it for each clip."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from model.objectives.config import preset
from model.objectives.temperature import Temperature

CLIPS = 5


def _temperature(name, kinds=1, **changed):
    return Temperature(replace(preset(name), **changed), kinds, CLIPS).double()


def _of(temperature, kind=0):
    return temperature.of(kind, torch.arange(CLIPS), torch.zeros((), dtype=torch.float64))


def test_each_clip_has_an_adam_of_its_own_that_counts_its_own_visits():
    ours = _temperature("isogclr", lowest_temperature=1e-3, highest_temperature=10.0)
    logs = [torch.tensor(math.log(0.1), dtype=torch.float64, requires_grad=True) for _ in range(CLIPS)]
    adams = [torch.optim.Adam([one], lr=0.01) for one in logs]
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        clips = torch.randperm(CLIPS, generator=generator)[:2]
        slopes = torch.randn(2, dtype=torch.float64, generator=generator)
        ours.learn(0, clips, slopes)
        for clip, slope in zip(clips.tolist(), slopes, strict=True):
            logs[clip].grad = slope.clone()
            adams[clip].step()
    assert len(set(ours.visits[0].tolist())) > 1
    torch.testing.assert_close(_of(ours), torch.stack([one.detach().exp() for one in logs]), rtol=1e-6, atol=0)


def test_a_shared_one_moves_by_the_mean_slope_and_is_everyones():
    ours = _temperature("fastclip-v3")
    log = torch.tensor(math.log(0.1), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([log], lr=2e-4)
    for slopes in (torch.tensor([1.0, 2.0, 6.0]).double(), torch.tensor([-9.0, 0.0, 1.0]).double()):
        ours.learn(0, torch.tensor([4, 0, 2]), slopes)
        log.grad = slopes.mean()
        adam.step()
    assert _of(ours).tolist() == pytest.approx([log.exp().item()] * CLIPS, rel=1e-6)


@pytest.mark.parametrize(("slope", "bound"), [(1.0, 0.05), (-1.0, 0.7)])
def test_bounds_hold(slope, bound):
    ours = _temperature("isogclr", temperature_learning_rate=0.5)
    for _ in range(20):
        ours.learn(0, torch.tensor([3]), torch.tensor([slope]).double())
    assert _of(ours).tolist() == pytest.approx([0.1, 0.1, 0.1, bound, 0.1])
    assert ours.average() == pytest.approx(bound)  # of visited ones


def test_kinds_of_patch_learn_apart():
    ours = _temperature("fastclip-v0", kinds=2)
    ours.learn(1, torch.arange(2), torch.ones(2).double())
    assert _of(ours, 0)[0].item() == pytest.approx(0.1)
    assert _of(ours, 1)[0].item() < 0.1


def test_a_constant_one_has_no_state():
    ours = _temperature("sogclr")
    assert not ours.learned
    assert not ours.state_dict()
    assert _of(ours).tolist() == [0.1] * CLIPS
    assert ours.average() == 0.1


@pytest.mark.parametrize(("name", "size_bytes"), [("isogclr", 16 * CLIPS), ("fastclip-v3", 16), ("fastclip-v1", 0)])
def test_the_state_is_as_large_as_stated(name, size_bytes):
    state = Temperature(preset(name), 1, CLIPS).state_dict().values()
    assert sum(one.numel() * one.element_size() for one in state) == size_bytes
