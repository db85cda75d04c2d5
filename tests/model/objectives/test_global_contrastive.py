"""The global contrastive loss against loops in float64 over clips and visits, and against libauc if it is there."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from beartype import beartype
from jaxtyping import jaxtyped

from model.objectives.config import PRESETS, preset
from model.objectives.global_contrastive import GlobalContrastive
from stores.errors import InvalidInput

GLOBAL = [name for name, one in PRESETS.items() if one.remembers]
CLIPS = 9


def _visits(steps=6, batch=4, dtype=torch.float64, clips=CLIPS, seed=0):
    """(first, second, indices) of some steps; every clip comes again, none twice in a step."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        first = torch.randn(batch, 6, dtype=torch.float64, generator=generator)
        second = 0.5 * first + torch.randn(batch, 6, dtype=torch.float64, generator=generator)
        indices = torch.randperm(clips, generator=generator)[:batch]
        yield first.to(dtype).requires_grad_(), second.to(dtype).requires_grad_(), indices


class Loops:
    """The formulas of the module's docstring, view by view; temperatures move by an Adam of PyTorch's for each clip."""

    def __init__(self, config):
        self.config, self.u, self.logs, self.adams = config, {}, {}, {}

    def _log_temperature(self, clip):
        who = clip if self.config.temperature_rule == "individual" else "all"
        if who not in self.logs:
            self.logs[who] = torch.tensor(math.log(self.config.temperature), dtype=torch.float64, requires_grad=True)
            rate = self.config.temperature_learning_rate
            self.adams[who] = torch.optim.Adam([self.logs[who]], lr=rate)
        return self.logs[who]

    def step(self, first, second, indices, epoch):
        config, clips = self.config, indices.tolist() * 2
        views = [F.normalize(one, dim=0) for one in (*first, *second)]
        gamma = config.inner_learning_rate(epoch)
        values, pulls, now = [], [], {}
        for i, clip in enumerate(clips):
            log_t = self._log_temperature(clip)
            t = log_t.exp()
            negatives = [views[i] @ views[j] for j, other in enumerate(clips) if other != clip]
            positive = views[i] @ views[(i + len(first)) % len(views)]
            scores = torch.stack(negatives)
            g = (scores / t).exp().mean()
            u = g.detach() if clip not in self.u else (1 - gamma) * self.u[clip] + gamma * g.detach()
            now.setdefault(clip, []).append(u)
            # log u moves as log g would, g / u times as fast: SogCLR's estimate of its gradient
            log_u = u.log() + (g - g.detach()) / u
            value = t * (log_u + config.rho) - positive if config.scaled else log_u - positive / t
            values.append(value.detach())
            pulls.append(value)
        torch.stack(pulls).mean().backward()
        self._learn(clips)
        self.u |= {clip: torch.stack(both).mean() for clip, both in now.items()}
        return torch.stack(values).mean()

    def _learn(self, clips):
        if self.config.temperature_rule == "constant":
            return
        for who in set(clips) if self.config.temperature_rule == "individual" else {"all"}:
            if who != "all":  # its own slope: the mean over its two views, not its share of the batch's mean
                self.logs[who].grad *= len(clips) / 2
            self.adams[who].step()
            self.logs[who].grad = None
            low, high = self.config.lowest_temperature, self.config.highest_temperature
            self.logs[who].data.clamp_(math.log(low), math.log(high))


@pytest.mark.parametrize("name", GLOBAL)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_values_gradients_and_what_is_remembered_equal_the_loops_over_many_visits(name, dtype, tolerance):
    config = replace(preset(name), gamma_decay_epochs=4)
    ours, loops = GlobalContrastive(config, 1, CLIPS).to(dtype), Loops(config)
    if ours.temperature.learned:
        ours.temperature.log_value.fill_(math.log(config.temperature))  # it was rounded to float32 before
    for epoch, (first, second, indices) in enumerate(_visits(dtype=dtype)):
        exact_first, exact_second = (one.detach().double().requires_grad_() for one in (first, second))
        loss, exact = ours(first, second, indices, 0, epoch), loops.step(exact_first, exact_second, indices, epoch)
        loss.backward()
        assert loss.dtype == dtype
        assert loss.item() == pytest.approx(exact.item(), rel=tolerance)
        for mine, theirs in ((first, exact_first), (second, exact_second)):
            torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=tolerance, atol=tolerance)
    seen = sorted(loops.u)
    assert len(seen) > 4
    log_u = torch.stack([loops.u[clip].log() for clip in seen])
    torch.testing.assert_close(ours.log_u[0, seen].double(), log_u, rtol=tolerance, atol=tolerance)
    if config.temperature_rule != "constant":
        temperatures = ours.temperature.of(0, torch.tensor(seen), log_u)
        expected = torch.stack([loops._log_temperature(clip).exp().detach() for clip in seen])
        assert len(expected.unique()) > (1 if config.temperature_rule == "individual" else 0)
        torch.testing.assert_close(temperatures, expected, rtol=tolerance, atol=0)


@pytest.mark.parametrize("scaled", [True, False])
def test_at_gamma_1_the_gradient_is_that_of_the_loss_itself(scaled):
    ours = GlobalContrastive(replace(preset("sogclr"), gamma=1.0, scaled=scaled), 1, CLIPS).double()
    first, second, indices = next(_visits())
    loss = ours(first, second, indices, 0, 0)
    views = F.normalize(torch.cat((first, second)), dim=1)
    scores, same = views @ views.T, torch.arange(8) % 4 == (torch.arange(8) % 4)[:, None]
    log_u = (scores / 0.1).masked_fill(same, -torch.inf).logsumexp(1) - math.log(6)
    exact = (log_u - scores.diagonal(4).repeat(2) / 0.1).mean() * (0.1 if scaled else 1)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-12)
    for mine, theirs in zip(*(torch.autograd.grad(one, (first, second)) for one in (loss, exact)), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.skipif(importlib.util.find_spec("libauc") is None, reason="libauc is not installed")
def test_sogclr_is_what_libauc_computes_visit_by_visit(capsys):
    contrastive = importlib.import_module("libauc.losses.contrastive")
    theirs = contrastive.GCLoss_v1(N=CLIPS, tau=0.1, gamma=0.6, device=torch.device("cpu"))
    ours = GlobalContrastive(replace(preset("sogclr"), gamma=0.6), 1, CLIPS)
    # libauc asks of a batch, not of a clip, whether it was seen: the batches here are all new or all known
    known = torch.randperm(CLIPS, generator=torch.Generator().manual_seed(3))[:8]
    parts = [known[:4], known[4:], known[2:6], known[[0, 7, 3, 5]], known[:4]]
    for (first, second, _), indices in zip(_visits(5, dtype=torch.float32), parts, strict=True):
        mine = torch.autograd.grad(ours(first, second, indices, 0, 0), (first, second))
        expected = torch.autograd.grad(theirs(first, second, indices), (first, second))
        for one, other in zip(mine, expected, strict=True):
            torch.testing.assert_close(
                2 * one, other, rtol=1e-4, atol=1e-6
            )  # it adds both views up, we take their mean
        torch.testing.assert_close(ours.log_u[0, indices].exp(), theirs.u[indices, 0], rtol=1e-4, atol=0)


def test_a_clip_that_is_new_starts_with_its_batch_beside_one_that_is_known():
    ours = GlobalContrastive(replace(preset("sogclr"), gamma=0.25), 1, CLIPS).double()
    (first, second, _), (third, fourth, _) = list(_visits(2, batch=2))
    ours(first, second, torch.tensor([0, 1]), 0, 0)
    before = ours.log_u.clone()
    alone = GlobalContrastive(ours.config, 1, CLIPS).double()
    ours(third, fourth, torch.tensor([1, 2]), 0, 0)
    alone(third, fourth, torch.tensor([1, 2]), 0, 0)
    assert ours.log_u[0, 2] == alone.log_u[0, 2]
    expected = (0.75 * before[0, 1].exp() + 0.25 * alone.log_u[0, 1].exp()).log()
    assert ours.log_u[0, 1].item() == pytest.approx(expected.item(), rel=1e-9)
    assert ours.log_u[0, 0] == before[0, 0]
    assert ours.log_u[0, 3:].isneginf().all()


@pytest.mark.parametrize("name", GLOBAL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_small_temperatures_do_not_overflow(name, dtype):
    config = replace(preset(name), temperature=0.005, lowest_temperature=0.005, gamma=0.2, gamma_schedule="constant")
    ours = GlobalContrastive(config, 1, CLIPS)
    same = torch.eye(4, 8, dtype=dtype).requires_grad_()
    ours(same, same, torch.arange(4), 0, 0).backward()  # exp(0) at most
    near = (torch.eye(4, 8) * 1e-2 + 1).to(dtype).requires_grad_()  # exp(1 / 0.005), 86 orders of magnitude more
    loss = ours(near, near.roll(1, 0), torch.arange(4), 0, 1)
    loss.backward()
    assert loss.isfinite()
    assert near.grad.isfinite().all()
    assert near.grad.any()
    assert all(state.isfinite()[..., :4].all() for state in ours.state_dict().values())


def test_autocast_does_not_change_the_loss_or_what_is_remembered():
    inside, outside = (GlobalContrastive(preset("isogclr"), 1, CLIPS) for _ in range(2))
    first, second, indices = next(_visits(dtype=torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = inside(first, second, indices, 0, 0)
    assert torch.equal(loss, outside(first, second, indices, 0, 0))
    for one, other in zip(inside.state_dict().values(), outside.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("clip", [-1, CLIPS, 10**9])
def test_a_clip_that_cannot_be_remembered_is_refused_and_nothing_moves(clip):
    ours = GlobalContrastive(preset("isogclr"), 1, CLIPS)
    first, second, _ = next(_visits())
    with pytest.raises(InvalidInput, match=rf"isogclr remembers clips 0 to {CLIPS - 1}: the shards and the run"):
        ours(first, second, torch.tensor([0, 1, clip, 2]), 0, 0)
    assert ours.log_u.isneginf().all()


def test_a_store_of_unknown_size_is_refused():
    with pytest.raises(InvalidInput, match="0 clips to remember; sogclr needs the number of clips of the store"):
        GlobalContrastive(preset("sogclr"), 1, 0)


@pytest.mark.parametrize(("name", "size_bytes"), [("sogclr", 4), ("fastclip-v1", 4), ("isogclr", 20)])
def test_the_state_of_a_clip_is_as_large_as_stated(name, size_bytes):
    state = GlobalContrastive(preset(name), 2, 1000).state_dict().values()
    assert sum(one.numel() * one.element_size() for one in state) == 2 * 1000 * size_bytes


def test_metrics_tell_gamma_and_the_mean_temperature():
    ours = GlobalContrastive(replace(preset("fastclip-v1"), gamma_decay_epochs=2), 1, CLIPS)
    assert ours.readings(1) == {"gamma": pytest.approx(0.6), "temperature": 0.1}


def test_shapes_and_types_are_what_the_annotations_promise():
    ours = GlobalContrastive(preset("isogclr"), 1, CLIPS)
    first, second, indices = next(_visits(dtype=torch.float32))
    jaxtyped(GlobalContrastive.forward, typechecker=beartype)(ours, first, second, indices, 0, 0)
