"""One call for every contrastive objective: by kernels as without, and on a device that nobody waits for."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace

import pytest
import torch
import view_pairs

from model.objectives import objective
from model.objectives.config import PRESETS, preset
from model.objectives.global_contrastive import GlobalContrastive
from model.objectives.infonce import infonce
from model.objectives.kernels import log_normalizers, repulsion
from model.objectives.mbcl import mbcl

CONTRASTIVE = [name for name in PRESETS if name != "mae"]
CLIPS = 200


def _made(name):
    return objective.build(
        replace(preset(name), **({"gamma_decay_epochs": 4} if preset(name).remembers else {})), 1, CLIPS
    )


def _visits(steps=4, batch=5, width=7, dtype=torch.float32):
    """(first, second, indices) of some steps; clips come again."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        first = torch.randn(batch, width, generator=generator)
        second = first / 2 + torch.randn(batch, width, generator=generator)
        indices = torch.randperm(2 * batch, generator=generator)[:batch]
        yield tuple(one.to(view_pairs.DEVICE, dtype).requires_grad_() for one in (first, second)), indices


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


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_by_kernels_values_gradients_and_what_is_remembered_are_those_of_plain_pytorch(name, monkeypatch):
    def told(fused):
        made, found = _made(name).to(view_pairs.DEVICE), []
        for module in (log_normalizers, repulsion):
            monkeypatch.setattr(module, "fused", lambda _: fused)
        for epoch, (views, indices) in enumerate(_visits()):
            loss = made(*views, indices, 0, epoch)
            found += [loss.detach(), *torch.autograd.grad(loss, views)]
        return [*found, *made.state_dict().values()]

    for mine, plain in zip(told(True), told(False), strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_an_epoch_that_was_prepared_is_as_one_that_is_told(name):
    told, prepared = _made(name), _made(name)
    for epoch, (views, indices) in enumerate(_visits()):
        views = [one.cpu() for one in views]
        prepared.prepare(epoch)
        assert torch.equal(told(*views, indices, 0, epoch), prepared(*views, indices, 0, None))
    for one, other in zip(told.state_dict().values(), prepared.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_step_reads_no_value_of_the_device(name, monkeypatch):
    # the device `meta` holds no values: whatever asks for one, or for a shape that values decide, raises
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # it knows no such device
    made, first, second = _made(name).to("meta"), *(torch.randn(5, 7, device="meta").requires_grad_() for _ in range(2))
    made.prepare(1)
    made(first, second, torch.arange(5, device="meta"), 0, None).backward()
    assert first.grad.shape == first.shape
    if preset(name).remembers:
        with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
            made.require_known(torch.arange(5, device="meta"))


@view_pairs.ON_A_GPU
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_captured_step_replays_as_the_eager_one_in_every_epoch(name, dtype):
    eager = _made(name).to(view_pairs.DEVICE)
    captured = copy.deepcopy(eager)
    steps = [(views, indices.to(view_pairs.DEVICE)) for views, indices in _visits(6, 64, 128, dtype)]
    (first, second), indices = steps[0]
    views, clips = (first.detach().clone().requires_grad_(), second.detach().clone().requires_grad_()), indices.clone()
    fresh = copy.deepcopy(captured.state_dict())
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.autograd.grad(captured(*views, clips, 0, None), views)  # kernels are compiled now
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = captured(*views, clips, 0, None)
        gradients = torch.autograd.grad(loss, views)
    captured.load_state_dict(fresh)
    for epoch, (now, indices) in enumerate(steps):
        with torch.no_grad():
            for static, one in zip((*views, clips), (*now, indices), strict=True):
                static.copy_(one)
        captured.prepare(epoch)
        graph.replay()
        expected = eager(*now, indices, 0, epoch)
        for mine, plain in zip((loss, *gradients), (expected, *torch.autograd.grad(expected, now)), strict=True):
            torch.testing.assert_close(mine, plain)
    for one, other in zip(captured.state_dict().values(), eager.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)
