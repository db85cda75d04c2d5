"""One call for every contrastive objective: with and without kernels, and without waiting for the device."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace

import pytest
import torch
import view_pairs

from model.objectives import objective
from model.objectives.config import PRESETS, preset
from model.objectives.dcl import dcl
from model.objectives.global_contrastive import GlobalContrastive
from model.objectives.infonce import infonce
from model.objectives.kernels import log_normalizers, repulsion
from model.objectives.mbcl import mbcl

CONTRASTIVE = [name for name in PRESETS if name != "mae"]
CLIPS = 200


def _build(name):
    numbers = {"gamma_decay_epochs": 4} if preset(name).has_memory else {}
    return objective.build(replace(preset(name), **numbers), 1, CLIPS)


def _visits(steps=4, batch=5, width=7, dtype=torch.float32):
    """Yield ((first, second), indices) of some steps; clips are visited again."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        first = torch.randn(batch, width, generator=generator)
        second = first / 2 + torch.randn(batch, width, generator=generator)
        indices = torch.randperm(2 * batch, generator=generator)[:batch]
        yield tuple(view.to(view_pairs.DEVICE, dtype).requires_grad_() for view in (first, second)), indices


@pytest.mark.parametrize(("name", "loss"), [("infonce", infonce), ("dcl", dcl), ("mbcl", mbcl)])
def test_mini_batch_objectives_equal_their_losses_and_have_no_state(name, loss):
    mini_batch = objective.build(preset(name), 2, 0)
    first, second = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mini_batch(first, second, torch.arange(4), 0, 0), loss(first, second, 0.1))
    assert not mini_batch.state_dict()
    assert mini_batch.metrics(0) == {}


def test_global_objectives_have_a_memory_for_every_clip_and_patch_kind():
    global_objective = objective.build(preset("fastclip-v2"), 2, 30)
    assert isinstance(global_objective, GlobalContrastive)
    assert {tuple(state.shape) for state in global_objective.state_dict().values()} == {(2, 30)}


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_values_gradients_and_memory_by_kernels_equal_those_of_plain_pytorch(name, monkeypatch):
    def train(with_kernels):
        trained, results = _build(name).to(view_pairs.DEVICE), []
        for module in (log_normalizers, repulsion):
            monkeypatch.setattr(module, "uses_kernels", lambda _: with_kernels)
        for epoch, (views, indices) in enumerate(_visits()):
            loss = trained(*views, indices, 0, epoch)
            results += [loss.detach(), *torch.autograd.grad(loss, views)]
        return [*results, *trained.state_dict().values()]

    for result, plain in zip(train(True), train(False), strict=True):
        torch.testing.assert_close(result, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_set_epoch_and_the_argument_epoch_have_the_same_effect(name):
    by_argument, by_method = _build(name), _build(name)
    for epoch, (views, indices) in enumerate(_visits()):
        views = [view.cpu() for view in views]
        by_method.set_epoch(epoch)
        assert torch.equal(by_argument(*views, indices, 0, epoch), by_method(*views, indices, 0, None))
    for state, expected in zip(by_argument.state_dict().values(), by_method.state_dict().values(), strict=True):
        assert torch.equal(state, expected)


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_step_reads_no_value_from_the_device(name, monkeypatch):
    # the device `meta` has no values: reading a value, or a shape that depends on values, raises an error
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # it does not support `meta`
    on_meta = _build(name).to("meta")
    first, second = (torch.randn(5, 7, device="meta").requires_grad_() for _ in range(2))
    on_meta.set_epoch(1)
    on_meta(first, second, torch.arange(5, device="meta"), 0, None).backward()
    assert first.grad.shape == first.shape
    if preset(name).has_memory:
        with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
            on_meta.require_valid_indices(torch.arange(5, device="meta"))


@view_pairs.ON_A_GPU
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_captured_step_equals_the_eager_step_in_every_epoch(name, dtype):
    eager = _build(name).to(view_pairs.DEVICE)
    captured = copy.deepcopy(eager)
    steps = [(views, indices.to(view_pairs.DEVICE)) for views, indices in _visits(6, 64, 128, dtype)]
    (first, second), indices = steps[0]
    views, clips = (first.detach().clone().requires_grad_(), second.detach().clone().requires_grad_()), indices.clone()
    initial_state = copy.deepcopy(captured.state_dict())
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.autograd.grad(captured(*views, clips, 0, None), views)  # compiles the kernels
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = captured(*views, clips, 0, None)
        gradients = torch.autograd.grad(loss, views)
    captured.load_state_dict(initial_state)
    for epoch, (step_views, indices) in enumerate(steps):
        with torch.no_grad():
            for static, value in zip((*views, clips), (*step_views, indices), strict=True):
                static.copy_(value)
        captured.set_epoch(epoch)
        graph.replay()
        eager_loss = eager(*step_views, indices, 0, epoch)
        expected = (eager_loss, *torch.autograd.grad(eager_loss, step_views))
        for result, eager_result in zip((loss, *gradients), expected, strict=True):
            torch.testing.assert_close(result, eager_result)
    for state, eager_state in zip(captured.state_dict().values(), eager.state_dict().values(), strict=True):
        torch.testing.assert_close(state, eager_state)
