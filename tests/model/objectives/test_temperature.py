"""Learned temperatures compared with PyTorch's Adam, with one optimizer for each clip, and with the rule of libauc."""

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


def _values(temperature, kind=0):
    return temperature.values(kind, torch.arange(CLIPS), torch.zeros((), dtype=torch.float64))


def test_each_clip_has_its_own_adam_that_counts_its_own_visits():
    ours = _temperature(
        "fastclip-v2",
        temperature=0.1,
        temperature_learning_rate=0.01,
        lowest_temperature=1e-3,
        highest_temperature=10.0,
    )
    logs = [torch.tensor(math.log(0.1), dtype=torch.float64, requires_grad=True) for _ in range(CLIPS)]
    adams = [torch.optim.Adam([log], lr=0.01) for log in logs]
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        clips = torch.randperm(CLIPS, generator=generator)[:2]
        gradients = torch.randn(2, dtype=torch.float64, generator=generator)
        ours.update(0, clips, gradients)
        for clip, gradient in zip(clips.tolist(), gradients, strict=True):
            logs[clip].grad = gradient.clone()
            adams[clip].step()
    assert len(set(ours.visits[0].tolist())) > 1
    torch.testing.assert_close(_values(ours), torch.stack([log.detach().exp() for log in logs]), rtol=1e-6, atol=0)


def test_individual_momentum_is_descent_by_nine_tenths_of_the_newest_gradient():
    ours = _temperature("isogclr", temperature_learning_rate=0.002)
    values, means = [0.1] * CLIPS, [0.0] * CLIPS
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        clips = torch.randperm(CLIPS, generator=generator)[:2]
        slopes = torch.randn(2, dtype=torch.float64, generator=generator)  # with respect to the temperature itself
        ours.update(0, clips, slopes * torch.tensor([values[clip] for clip in clips.tolist()]).double())
        for clip, slope in zip(clips.tolist(), slopes.tolist(), strict=True):
            means[clip] = 0.1 * means[clip] + 0.9 * slope
            values[clip] = min(max(values[clip] - 0.002 * means[clip], 0.05), 0.7)
    assert len(set(values)) == CLIPS
    assert _values(ours).tolist() == pytest.approx(values, rel=1e-6)


def test_a_shared_temperature_is_updated_by_the_mean_gradient():
    ours = _temperature("fastclip-v3")
    log = torch.tensor(math.log(0.07), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([log], lr=2e-4)
    for gradients in (torch.tensor([1.0, 2.0, 6.0]).double(), torch.tensor([-9.0, 0.0, 1.0]).double()):
        ours.update(0, torch.tensor([4, 0, 2]), gradients)
        log.grad = gradients.mean()
        adam.step()
    assert _values(ours).tolist() == pytest.approx([log.exp().item()] * CLIPS, rel=1e-6)


@pytest.mark.parametrize("rule", ["individual", "individual-momentum"])
@pytest.mark.parametrize(("gradient", "bound"), [(1.0, 0.05), (-1.0, 0.7)])
def test_temperatures_stay_within_their_bounds(gradient, bound, rule):
    ours = _temperature("isogclr", temperature_rule=rule, temperature_learning_rate=0.5)
    for _ in range(20):
        ours.update(0, torch.tensor([3]), torch.tensor([gradient]).double())
    assert _values(ours).tolist() == pytest.approx([0.1, 0.1, 0.1, bound, 0.1])
    assert ours.average() == pytest.approx(bound)  # the mean over visited clips


def test_patch_kinds_have_separate_temperatures():
    ours = _temperature("fastclip-v0", kinds=2)
    ours.update(1, torch.arange(2), torch.ones(2).double())
    assert _values(ours, 0)[0].item() == pytest.approx(0.07)
    assert _values(ours, 1)[0].item() < 0.07


def test_a_constant_temperature_has_no_state():
    ours = _temperature("sogclr")
    assert not ours.learned
    assert not ours.state_dict()
    assert _values(ours).tolist() == [0.1] * CLIPS
    assert ours.average() == 0.1


SIZES = [("isogclr", 12 * CLIPS), ("fastclip-v2", 16 * CLIPS), ("fastclip-v3", 16), ("fastclip-v1", 0)]


@pytest.mark.parametrize(("name", "size_bytes"), SIZES)
def test_the_state_has_the_documented_size(name, size_bytes):
    state = Temperature(preset(name), 1, CLIPS).state_dict().values()
    assert sum(buffer.numel() * buffer.element_size() for buffer in state) == size_bytes
