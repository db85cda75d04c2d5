"""The global contrastive loss compared with loops over clips and visits in float64, and with libauc if installed."""

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

GLOBAL = [name for name, config in PRESETS.items() if config.has_memory]
CLIPS = 9


def _visits(steps=6, batch=4, dtype=torch.float64, clips=CLIPS, seed=0):
    """Yield (first, second, indices) of some steps; every clip is visited again, but not twice in a step."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        first = torch.randn(batch, 6, dtype=torch.float64, generator=generator)
        second = 0.5 * first + torch.randn(batch, 6, dtype=torch.float64, generator=generator)
        indices = torch.randperm(clips, generator=generator)[:batch]
        yield first.to(dtype).requires_grad_(), second.to(dtype).requires_grad_(), indices


class Loops:
    """The formulas of the module's docstring, view by view, with an Adam of PyTorch for each clip's temperature.

    With individual momentum, there is the rule of libauc instead of Adam.
    """

    def __init__(self, config):
        self.config, self.u, self.logs, self.adams, self.slopes = config, {}, {}, {}, {}
        self.individual = config.temperature_rule.startswith("individual")

    def _log_temperature(self, clip):
        owner = clip if self.individual else "all"
        if owner not in self.logs:
            self.logs[owner] = torch.tensor(math.log(self.config.temperature), dtype=torch.float64, requires_grad=True)
            rate = self.config.temperature_learning_rate
            self.adams[owner] = torch.optim.Adam([self.logs[owner]], lr=rate)
        return self.logs[owner]

    def step(self, first, second, indices, epoch):
        config, clips = self.config, indices.tolist() * 2
        views = [F.normalize(view, dim=0) for view in (*first, *second)]
        gamma = config.inner_learning_rate(epoch)
        values, terms, new_u = [], [], {}
        for i, clip in enumerate(clips):
            log_t = self._log_temperature(clip)
            t = log_t.exp()
            negatives = [views[i] @ views[j] for j, other in enumerate(clips) if other != clip]
            positive = views[i] @ views[(i + len(first)) % len(views)]
            scores = torch.stack(negatives)
            g = (scores / t).exp().mean()
            u = g.detach() if clip not in self.u else (1 - gamma) * self.u[clip] + gamma * g.detach()
            new_u.setdefault(clip, []).append(u)
            # the gradient of log u is that of log g times g / u, which is SogCLR's estimate
            log_u = u.log() + (g - g.detach()) / u
            value = t * (log_u + config.rho) - positive if config.scaled else log_u - positive / t
            values.append(value.detach())
            terms.append(value)
        torch.stack(terms).mean().backward()
        self._learn(clips)
        self.u |= {clip: torch.stack(both).mean() for clip, both in new_u.items()}
        return torch.stack(values).mean()

    def _learn(self, clips):
        if self.config.temperature_rule == "constant":
            return
        for owner in set(clips) if self.individual else {"all"}:
            if owner != "all":  # the gradient of a clip is the mean over its two views, not a share of the batch mean
                self.logs[owner].grad *= len(clips) / 2
            if self.config.temperature_rule == "individual-momentum":
                self._descend(owner)
            else:
                self.adams[owner].step()
            self.logs[owner].grad = None
            low, high = self.config.lowest_temperature, self.config.highest_temperature
            self.logs[owner].data.clamp_(math.log(low), math.log(high))

    def _descend(self, clip):
        value = self.logs[clip].detach().exp()
        self.slopes[clip] = 0.1 * self.slopes.get(clip, 0.0) + 0.9 * self.logs[clip].grad / value
        lowered = value - self.config.temperature_learning_rate * self.slopes[clip]
        self.logs[clip].data = lowered.clamp(min=self.config.lowest_temperature).log()


@pytest.mark.parametrize("name", GLOBAL)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_values_gradients_and_memory_equal_the_loops_over_many_visits(name, dtype, tolerance):
    config = replace(preset(name), gamma_decay_epochs=4)
    ours, loops = GlobalContrastive(config, 1, CLIPS).to(dtype), Loops(config)
    if ours.temperature.learned:
        ours.temperature.log_value.fill_(math.log(config.temperature))  # the initial value was rounded to float32
    for epoch, (first, second, indices) in enumerate(_visits(dtype=dtype)):
        exact_first, exact_second = (view.detach().double().requires_grad_() for view in (first, second))
        loss, exact = ours(first, second, indices, 0, epoch), loops.step(exact_first, exact_second, indices, epoch)
        loss.backward()
        assert loss.dtype == dtype
        assert loss.item() == pytest.approx(exact.item(), rel=tolerance)
        for view, exact_view in ((first, exact_first), (second, exact_second)):
            torch.testing.assert_close(view.grad.double(), exact_view.grad, rtol=tolerance, atol=tolerance)
    visited = sorted(loops.u)
    assert len(visited) > 4
    log_u = torch.stack([loops.u[clip].log() for clip in visited])
    torch.testing.assert_close(ours.log_u[0, visited].double(), log_u, rtol=tolerance, atol=tolerance)
    if config.temperature_rule != "constant":
        temperatures = ours.temperature.values(0, torch.tensor(visited), log_u)
        expected = torch.stack([loops._log_temperature(clip).exp().detach() for clip in visited])
        assert len(expected.unique()) > (1 if loops.individual else 0)
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
    gradients, expected = (torch.autograd.grad(value, (first, second)) for value in (loss, exact))
    for gradient, exact_gradient in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, exact_gradient)


LIBAUC = pytest.mark.skipif(importlib.util.find_spec("libauc") is None, reason="libauc is not installed")


@LIBAUC
def test_sogclr_equals_libauc_visit_by_visit(capsys):
    contrastive = importlib.import_module("libauc.losses.contrastive")
    libauc_loss = contrastive.GCLoss_v1(N=CLIPS, tau=0.1, gamma=0.6, device=torch.device("cpu"))
    ours = GlobalContrastive(replace(preset("sogclr"), gamma=0.6), 1, CLIPS)
    # libauc decides for a whole batch whether it is a first visit, so the clips here are all new or all visited
    clips = torch.randperm(CLIPS, generator=torch.Generator().manual_seed(3))[:8]
    batches = [clips[:4], clips[4:], clips[2:6], clips[[0, 7, 3, 5]], clips[:4]]
    for (first, second, _), indices in zip(_visits(5, dtype=torch.float32), batches, strict=True):
        gradients = torch.autograd.grad(ours(first, second, indices, 0, 0), (first, second))
        expected = torch.autograd.grad(libauc_loss(first, second, indices), (first, second))
        for gradient, libauc_gradient in zip(gradients, expected, strict=True):
            # libauc takes the sum over both views, and we take the mean
            torch.testing.assert_close(2 * gradient, libauc_gradient, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(ours.log_u[0, indices].exp(), libauc_loss.u[indices, 0], rtol=1e-4, atol=0)


@LIBAUC
def test_isogclr_has_the_gradients_and_temperatures_of_libauc_over_30_visits(capsys):
    contrastive = importlib.import_module("libauc.losses.contrastive")
    clips = torch.arange(8)
    libauc_loss = contrastive.GCLoss_v1(N=8, enable_isogclr=True, device=torch.device("cpu"))
    ours = GlobalContrastive(preset("isogclr"), 1, 8)
    for first, second, _ in _visits(30, batch=8, dtype=torch.float32):
        gradients = torch.autograd.grad(ours(first, second, clips, 0, 0), (first, second))
        expected = torch.autograd.grad(libauc_loss(first, second, clips), (first, second))
        for gradient, libauc_gradient in zip(gradients, expected, strict=True):
            torch.testing.assert_close(2 * gradient, libauc_gradient, rtol=1e-3, atol=1e-6)
    temperatures = ours.temperature.values(0, clips, first)
    torch.testing.assert_close(temperatures, libauc_loss.learnable_tau[:, 0], rtol=1e-4, atol=0)
    assert float(temperatures.mean()) > 0.15


def test_a_new_clip_starts_with_its_batch_beside_a_visited_clip():
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
    ours(same, same, torch.arange(4), 0, 0).backward()  # at most exp(0)
    near = (
        (torch.eye(4, 8) * 1e-2 + 1).to(dtype).requires_grad_()
    )  # exp(1 / 0.005), which is 86 orders of magnitude more
    loss = ours(near, near.roll(1, 0), torch.arange(4), 0, 1)
    loss.backward()
    assert loss.isfinite()
    assert near.grad.isfinite().all()
    assert near.grad.any()
    assert all(state.isfinite()[..., :4].all() for state in ours.state_dict().values())


def test_autocast_does_not_change_the_loss_or_the_memory():
    inside, outside = (GlobalContrastive(preset("isogclr"), 1, CLIPS) for _ in range(2))
    first, second, indices = next(_visits(dtype=torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = inside(first, second, indices, 0, 0)
    assert torch.equal(loss, outside(first, second, indices, 0, 0))
    for state, expected in zip(inside.state_dict().values(), outside.state_dict().values(), strict=True):
        assert torch.equal(state, expected)


@pytest.mark.parametrize("clip", [-1, CLIPS, 10**9])
def test_an_index_out_of_range_raises_an_error_and_changes_nothing(clip):
    ours = GlobalContrastive(preset("isogclr"), 1, CLIPS)
    first, second, _ = next(_visits())
    with pytest.raises(
        InvalidInput, match=rf"isogclr remembers clips 0 to {CLIPS - 1}; train on the shards of the stores"
    ):
        ours(first, second, torch.tensor([0, 1, clip, 2]), 0, 0)
    assert ours.log_u.isneginf().all()


def test_an_unknown_number_of_clips_raises_an_error():
    with pytest.raises(InvalidInput, match=r"sogclr needs the number of clips of the stores.*\(got 0\)"):
        GlobalContrastive(preset("sogclr"), 1, 0)


@pytest.mark.parametrize(
    ("name", "size_bytes"), [("sogclr", 4), ("fastclip-v1", 4), ("isogclr", 16), ("fastclip-v2", 20)]
)
def test_the_state_of_a_clip_has_the_documented_size(name, size_bytes):
    state = GlobalContrastive(preset(name), 2, 1000).state_dict().values()
    assert sum(buffer.numel() * buffer.element_size() for buffer in state) == 2 * 1000 * size_bytes


def test_metrics_contain_gamma_and_the_mean_temperature():
    ours = GlobalContrastive(replace(preset("fastclip-v1"), gamma_decay_epochs=2), 1, CLIPS)
    assert ours.metrics(1) == {"gamma": pytest.approx(0.6), "temperature": 0.07}


def test_shapes_and_types_match_the_annotations():
    ours = GlobalContrastive(preset("isogclr"), 1, CLIPS)
    first, second, indices = next(_visits(dtype=torch.float32))
    jaxtyped(GlobalContrastive.forward, typechecker=beartype)(ours, first, second, indices, 0, 0)
