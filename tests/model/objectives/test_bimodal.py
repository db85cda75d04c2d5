"""The bimodal objectives compared with the rules of FastCLIP's public code over several epochs, and on several ranks.

`Published` follows the code in another form than ours: it computes matrices `[N, N]` and leaves all gradients to
autograd. Its shared temperature is a parameter of PyTorch's AdamW.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import collectives
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F

from model.objectives.bimodal import BimodalObjective
from model.objectives.bimodal_config import BIMODAL_PRESETS, bimodal_preset
from model.objectives.gather import rank, world_size
from model.training import ranks
from stores.errors import InvalidInput

PAIRS, BATCH, WIDTH, EPOCHS, EPSILON = 24, 8, 6, 8, 1e-14


def _config(name):
    """Return a preset whose gamma and temperature move in few epochs."""
    config = bimodal_preset(name)
    changed = {"gamma_decay_epochs": 4} if config.has_memory else {}
    if config.temperature_rule == "shared":
        changed["temperature_learning_rate"] = 0.02
    if config.temperature_rule == "individual-by-epoch":
        changed |= {"rho": 1.5, "temperature_learning_rate": 0.004}
    if config.slower_at:
        changed["temperature"] = 0.04
    return replace(config, **changed)


def _batches():
    """Yield (epoch, audio, text, indices); the sides of a pair become more alike from epoch to epoch."""
    generator = torch.Generator().manual_seed(0)
    content = torch.randn(PAIRS, WIDTH, dtype=torch.float64, generator=generator)
    for epoch in range(EPOCHS):
        for indices in torch.randperm(PAIRS, generator=generator).split(BATCH):
            noise = torch.randn(2, BATCH, WIDTH, dtype=torch.float64, generator=generator) / (0.5 + 0.3 * epoch)
            audio, text = content[indices] + noise
            yield epoch, audio.requires_grad_(), text.requires_grad_(), indices


class Published:
    """The rules of the code for one process."""

    def __init__(self, config):
        self.config = config
        self.u = torch.zeros(2, PAIRS, dtype=torch.float64)
        self.bound = torch.zeros_like(self.u)
        self.tau = torch.full_like(self.u, config.temperature)
        self.mean, self.square = torch.zeros_like(self.u), torch.zeros_like(self.u)
        self.log_scale = torch.tensor(-math.log(config.temperature), dtype=torch.float64).requires_grad_()
        self.optimizer = torch.optim.AdamW([self.log_scale], weight_decay=0.0)

    def step(self, audio, text, indices, epoch):
        """Return the gradients of both sides, and update all states."""
        features = F.normalize(audio, dim=1), F.normalize(text, dim=1)
        if self.config.family == "global":
            loss = self._global(features, indices, epoch)
        else:
            logits = self.log_scale.exp() * features[0] @ features[1].T
            labels = torch.arange(len(indices))
            loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        *gradients, slope = torch.autograd.grad(loss, (audio, text, self.log_scale), allow_unused=True)
        if self.config.temperature_rule == "shared":
            low = 1 / self.log_scale.exp() <= self.config.slower_at
            rate = self.config.temperature_learning_rate
            self.optimizer.param_groups[0]["lr"] = rate / 3 if low else rate
            self.log_scale.grad = slope
            self.optimizer.step()
            self.log_scale.data.clamp_(0, math.log(100))
        return torch.cat(gradients)

    def temperatures(self):
        """Return the temperature of every anchor."""
        if self.config.temperature_rule == "individual-by-epoch":
            return self.tau
        return torch.full_like(self.u, float(1 / self.log_scale.detach().exp()))

    def averages(self):
        """Return u of every anchor."""
        return self.u * self.bound.exp()

    def _global(self, features, indices, epoch):
        gamma = 1.0 if epoch == 0 else self.config.inner_learning_rate(epoch)
        is_individual = self.config.temperature_rule == "individual-by-epoch"
        scales = 1 / self.tau[:, indices] if is_individual else self.log_scale.exp().expand(2, len(indices))
        detached = [each.detach() for each in features]
        terms, log_u = [], []
        for side in (0, 1):
            own, other = features[side], features[1 - side]
            fixed_own, fixed_other = detached[side], detached[1 - side]
            positive = (own * other).sum(1, keepdim=True)
            fixed_positive = (fixed_own * fixed_other).sum(1, keepdim=True)
            scale = scales[side][:, None]
            as_anchors = (own @ fixed_other.T - positive) * scale
            as_negatives = (fixed_own @ other.T - fixed_positive) * scale
            bound, before = self._bounds(side, indices, as_anchors.detach(), is_individual)
            others = ~torch.eye(len(indices), dtype=torch.bool)
            count = len(indices) - 1
            anchors, negatives = (
                ((logits - bound[:, None]).exp() * others).sum(1) / count for logits in (as_anchors, as_negatives)
            )
            old = self.u[side, indices]
            new = (1 - gamma) * old * (before - bound).exp() + gamma * anchors.detach()
            new = torch.where(old < 1e-35, anchors.detach(), new)
            self.u[side, indices], self.bound[side, indices] = new, bound
            terms += [(anchors / (new + EPSILON)).mean(), (negatives / (new + EPSILON)).mean()]
            log_u.append(new.log().mean())
            if is_individual:
                weighted = ((as_anchors.detach() - bound[:, None]).exp() * others * as_anchors.detach()).sum(1) / count
                slope = -weighted / (new + EPSILON) + (new + EPSILON).log() + bound + self.config.rho
                self._learn_individual(side, indices, slope.clamp(-5, 5), epoch)
        loss = sum(terms) / 2
        if self.config.scaled:
            scale = self.log_scale.exp()
            loss = loss / scale.detach() + (self.config.rho + sum(log_u) / 2) / scale
        return loss

    def _bounds(self, side, indices, exponents, is_individual):
        before = self.bound[side, indices]
        return (torch.maximum(before, exponents.amax(1)) if is_individual else before), before

    def _learn_individual(self, side, indices, slope, epoch):
        first, second = (0.0, 0.0) if epoch == 0 else (0.9, 0.999)
        mean = first * self.mean[side, indices] + (1 - first) * slope
        square = second * self.square[side, indices] + (1 - second) * slope**2
        self.mean[side, indices], self.square[side, indices] = mean, square
        step = mean / (1 - first ** (epoch + 1)) / ((square / (1 - second ** (epoch + 1))).sqrt() + 1e-8)
        changed = self.tau[side, indices] - self.config.temperature_learning_rate * step
        self.tau[side, indices] = changed.clamp(0.01, 1.0)


def _objective(config, dtype=torch.float64):
    objective = BimodalObjective(config, PAIRS).to(dtype)
    if objective.temperature.learned:
        objective.temperature.log_value.fill_(math.log(config.temperature))  # it was rounded to float32
    return objective


def _temperatures(objective):
    pairs, sides = torch.arange(PAIRS).repeat(2), torch.arange(2).repeat_interleave(PAIRS)
    kinds = sides if objective.config.temperature_rule == "individual-by-epoch" else torch.zeros_like(sides)
    return objective.temperature.values(kinds, pairs, torch.zeros(1, dtype=torch.float64)).view(2, PAIRS)


@pytest.mark.parametrize("name", BIMODAL_PRESETS)
def test_all_epochs_equal_the_rules_of_the_public_code(name):
    config = _config(name)
    ours, published = _objective(config), Published(config)
    for epoch, audio, text, indices in _batches():
        loss = ours(audio, text, indices, epoch)
        gradient = torch.cat(torch.autograd.grad(loss, (audio, text)))
        expected = published.step(audio, text, indices, epoch)
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))
        torch.testing.assert_close(_temperatures(ours), published.temperatures(), rtol=1e-8, atol=0)
    if config.has_memory:
        torch.testing.assert_close(ours.log_u.exp(), published.averages(), rtol=1e-6, atol=0)
    moved = _temperatures(ours).sub(config.temperature).abs().max()
    assert (moved > 0.1 * config.temperature) == config.learns_temperature


def test_the_loss_of_a_mini_batch_is_a_symmetric_cross_entropy():
    _, audio, text, indices = next(_batches())
    logits = F.normalize(audio, dim=1) @ F.normalize(text, dim=1).T / 0.07
    labels = torch.arange(BATCH)
    expected = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    for name in ("infonce", "mbcl"):
        assert float(_objective(bimodal_preset(name))(audio, text, indices, 0).detach()) == pytest.approx(
            float(expected.detach())
        )


def test_each_side_of_a_pair_has_its_own_average_and_temperature():
    objective = _objective(_config("fastclip-v2"))
    for epoch, audio, text, indices in _batches():
        objective(audio, text, indices, epoch)
    assert not torch.allclose(objective.log_u[0], objective.log_u[1], rtol=1e-3)
    audio_temperatures, text_temperatures = _temperatures(objective)
    assert not torch.allclose(audio_temperatures, text_temperatures, rtol=1e-3)


def _steps(name):
    """Return the mean gradient of a weight in every step, and the state after the last step."""
    objective, gradients = _objective(_config(name)), []
    weight = torch.eye(WIDTH, dtype=torch.float64).requires_grad_()
    for epoch, audio, text, indices in _batches():
        own = ranks.local_slice(BATCH)
        loss = objective(audio.detach()[own] @ weight, text.detach()[own] @ weight.T, indices[own], epoch)
        gradients.append(ranks.mean(torch.autograd.grad(loss, weight)[0]).numpy())
    return gradients, {key: value.numpy() for key, value in objective.state_dict().items()}


def _on_rank(folder):
    results = {name: _steps(name) for name in BIMODAL_PRESETS}
    audio = torch.randn(BATCH, WIDTH, generator=torch.Generator().manual_seed(rank()))
    with collectives.SentBytes() as sent:
        objective = BimodalObjective(_config("fastclip-v3"), PAIRS)
        loss = objective(audio.requires_grad_(), audio.detach(), torch.arange(BATCH) + BATCH * rank(), 0)
        loss.backward()
    assert dist.get_world_size() == world_size()
    return results, sent.total


@functools.cache
def _two_ranks(folder):
    return collectives.on_ranks(2, _on_rank, folder)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    return _two_ranks(tmp_path_factory.mktemp("bimodal"))


@pytest.mark.slow
@pytest.mark.parametrize("name", BIMODAL_PRESETS)
def test_two_ranks_compute_the_gradients_and_the_memory_of_one(two_ranks, name):
    gradients, state = _steps(name)
    for results, _ in two_ranks:
        for gradient, expected in zip(results[name][0], gradients, strict=True):
            assert gradient == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert results[name][1].keys() == state.keys()
        for key, expected in state.items():
            assert results[name][1][key] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.slow
def test_ranks_send_features_and_few_numbers_of_each_anchor(two_ranks):
    for _, sent in two_ranks:
        # features in float32, the index, and four numbers in float32
        assert sent == 2 * BATCH * (4 * WIDTH + 8 + 4 * 4)


def test_presets_and_indices_that_do_not_exist_are_errors():
    with pytest.raises(InvalidInput, match="objective must be one of infonce, mbcl"):
        bimodal_preset("dcl")
    with pytest.raises(InvalidInput, match="slower_at must be from 0 to 1"):
        replace(bimodal_preset("fastclip-v3"), slower_at=2.0)
    with pytest.raises(InvalidInput, match="needs at least 2 pairs"):
        BimodalObjective(bimodal_preset("sogclr"), 1)
    objective = BimodalObjective(bimodal_preset("sogclr"), 4)
    with pytest.raises(InvalidInput, match="pairs 0 to 4 are in the batch, but sogclr has pairs 0 to 3"):
        objective(torch.randn(5, 3), torch.randn(5, 3), torch.arange(5), 0)
