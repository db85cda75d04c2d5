"""FastCLIP v1 to v3 compared with the published formulas over several epochs, and the table of differences in the docs.

`Published` computes Algorithm 1 of FastCLIP (Wei et al. 2024) pair by pair in float64, with the moving average u, the
temperature and gamma all changing. Each difference between the formulas, or the public code, and this project is a
switch. With all switches as in this project, both agree to 1e-9. With one switch as published, the difference is
measured, and docs/objectives.md has its figures.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from model.objectives.config import preset
from model.objectives.global_contrastive import GlobalContrastive

DOCS = Path(__file__).parents[3] / "docs"
NAMES = ("fastclip-v1", "fastclip-v2", "fastclip-v3")
CLIPS, BATCH, EPOCHS, DECAY_EPOCHS = 24, 8, 8, 4


@dataclass(frozen=True)
class Rules:
    """What the formulas do where they differ from this project; the defaults are those of this project."""

    other_side: bool = False
    """Negatives are the N - 1 views of the other side."""
    separate_u: bool = False
    """Each side of a clip has its own u."""
    positive_in_u: bool = False
    """u averages exp((s_ij - s_ip) / t), so that it keeps the positive pair of earlier visits, and g / u weighs it."""
    in_temperature: bool = False
    """The temperature itself is updated, with gradients limited to 5 and steps counted by epochs (code of v2)."""
    unscaled: bool = False
    """The gradient by the features is not multiplied by t (the commands of v1 and v2)."""
    slower: bool = False
    """The learning rate of the temperature falls to a third at t 0.03 (code of v3)."""


ROWS = {
    "negatives from the other side only": Rules(other_side=True),
    "a u for each view of a clip": Rules(separate_u=True),
    "the positive pair in u": Rules(positive_in_u=True),
    "temperature updated itself, not its logarithm": Rules(in_temperature=True),
    "loss not multiplied by τ": Rules(unscaled=True),
    "slower temperature at 0.03": Rules(slower=True),
    "all of these": Rules(True, True, True, True, True, True),
}
# the rows that apply to an objective
APPLIES = {
    "in_temperature": ("fastclip-v2",),
    "unscaled": ("fastclip-v1", "fastclip-v2"),
    "slower": ("fastclip-v3",),
}


def _rules_of(rules, name):
    """Return `rules` without those that do not concern the objective `name`."""
    return replace(rules, **{rule: False for rule, names in APPLIES.items() if name not in names})


def _batches():
    """Yield (epoch, first, second, indices); the two views of a clip become more alike from epoch to epoch."""
    generator = torch.Generator().manual_seed(0)
    pieces = torch.randn(CLIPS, 8, dtype=torch.float64, generator=generator)
    for epoch in range(EPOCHS):
        for indices in torch.randperm(CLIPS, generator=generator).split(BATCH):
            noise = torch.randn(2, BATCH, 8, dtype=torch.float64, generator=generator) / (0.5 + 0.25 * epoch)
            first, second = pieces[indices] + noise
            yield epoch, first.requires_grad_(), second.requires_grad_(), indices


class Published:
    """The formulas, with a dictionary for each state."""

    def __init__(self, config, rules):
        self.config, self.rules = config, rules
        self.u, self.t, self.mean, self.square, self.visits = {}, {}, {}, {}, {}

    def step(self, first, second, indices, epoch):
        """Return the gradients of both views, from the estimators of Algorithm 1, and update all states."""
        clips, sides = indices.tolist(), (F.normalize(first, dim=1), F.normalize(second, dim=1))
        gamma, surrogate, slopes, new_u = self.config.inner_learning_rate(epoch), 0.0, {}, {}
        for side in (0, 1):
            for row, clip in enumerate(clips):
                t = self._temperature(clip)
                positive = sides[side][row] @ sides[1 - side][row]
                logits = self._scores(sides, side, row) / t
                if self.rules.positive_in_u:
                    logits = logits - positive / t
                g = logits.exp().mean()
                u = self._average(clip, side, g.item(), gamma)
                new_u.setdefault(self._owner_of_u(clip, side), []).append(u)
                estimate = g / u if self.rules.positive_in_u else g / u - positive / t
                surrogate = surrogate + (1.0 if self.rules.unscaled else t) * estimate
                # log u + rho + t / u dg/dt, where t dg/dt is the mean of - exp(logit) logit
                slope = math.log(u) + self.config.rho - (logits.exp() * logits).mean().item() / u
                slopes.setdefault(self._owner_of_t(clip), []).append(slope)
        self.u |= {owner: sum(values) / len(values) for owner, values in new_u.items()}
        self._learn(slopes, epoch)
        return torch.cat(torch.autograd.grad(surrogate / (2 * len(clips)), (first, second)))

    def temperature(self):
        """Return the mean temperature of all clips."""
        return sum(self._temperature(clip) for clip in range(CLIPS)) / CLIPS

    def _scores(self, sides, side, row):
        others = [k for k in range(len(sides[0])) if k != row]
        negatives = [sides[1 - side][k] for k in others]
        if not self.rules.other_side:
            negatives += [sides[side][k] for k in others]
        return torch.stack([sides[side][row] @ negative for negative in negatives])

    def _average(self, clip, side, g, gamma):
        owner = self._owner_of_u(clip, side)
        return g if owner not in self.u else (1 - gamma) * self.u[owner] + gamma * g

    def _owner_of_u(self, clip, side):
        return (clip, side) if self.rules.separate_u else clip

    def _owner_of_t(self, clip):
        return clip if self.config.temperature_rule == "individual" else "all"

    def _temperature(self, clip):
        return self.t.get(self._owner_of_t(clip), self.config.temperature)

    def _learn(self, slopes, epoch):
        if self.config.temperature_rule == "constant":
            return
        for owner, values in slopes.items():
            t, slope = self.t.get(owner, self.config.temperature), sum(values) / len(values)
            rate = self.config.temperature_learning_rate
            if self.rules.slower and t <= 0.03:
                rate /= 3
            if self.rules.in_temperature:
                t -= rate * self._adam(owner, max(-5.0, min(5.0, slope)), epoch + 1, forgets=epoch == 0)
            else:
                self.visits[owner] = self.visits.get(owner, 0) + 1
                t *= math.exp(-rate * self._adam(owner, slope * t, self.visits[owner], forgets=False))
            self.t[owner] = max(self.config.lowest_temperature, min(self.config.highest_temperature, t))

    def _adam(self, owner, slope, count, forgets):
        """Return the step of Adam; in the first epoch, FastCLIP's code has moments that forget everything."""
        first, second = (0.0, 0.0) if forgets else (0.9, 0.999)
        self.mean[owner] = first * self.mean.get(owner, 0.0) + (1 - first) * slope
        self.square[owner] = second * self.square.get(owner, 0.0) + (1 - second) * slope**2
        mean, square = self.mean[owner] / (1 - first**count), self.square[owner] / (1 - second**count)
        return mean / (math.sqrt(square) + 1e-8)


def _config(name):
    # a faster shared temperature than that of v3, which would hardly move in a few steps
    changed = {"temperature_learning_rate": 0.1} if name == "fastclip-v3" else {}
    return replace(preset(name), gamma_decay_epochs=DECAY_EPOCHS, **changed)


@functools.cache
def _ours(name):
    """Return our gradients of every step, the mean temperature after it, and the objective."""
    config = _config(name)
    ours = GlobalContrastive(config, 1, CLIPS).double()
    if ours.temperature.learned:
        ours.temperature.log_value.fill_(math.log(config.temperature))  # the initial value was rounded to float32
    gradients, temperatures = [], []
    for epoch, first, second, indices in _batches():
        loss = ours(first, second, indices, 0, epoch)
        gradients.append(torch.cat(torch.autograd.grad(loss, (first, second))))
        temperatures.append(float(ours.temperature.values(0, torch.arange(CLIPS), first).mean()))
    return gradients, temperatures, ours


@functools.cache
def _published(name, rules):
    published, gradients, temperatures = Published(_config(name), rules), [], []
    for epoch, first, second, indices in _batches():
        gradients.append(published.step(first, second, indices, epoch))
        temperatures.append(published.temperature())
    return gradients, temperatures, published


@pytest.mark.parametrize("name", NAMES)
def test_all_epochs_equal_the_published_formulas_under_the_rules_of_this_project(name):
    gradients, temperatures, ours = _ours(name)
    expected, expected_temperatures, published = _published(name, Rules())
    assert len(gradients) == EPOCHS * CLIPS // BATCH
    for gradient, exact in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, exact, rtol=1e-9, atol=1e-9)
    assert temperatures == pytest.approx(expected_temperatures, rel=1e-9)
    assert ours.log_u[0].exp().tolist() == pytest.approx([published.u[clip] for clip in range(CLIPS)], rel=1e-9)
    if name != "fastclip-v1":
        assert abs(temperatures[-1] / temperatures[0] - 1) > 0.05


def _difference(name, rules):
    """Return the cell of the table: cosine and norm of the published gradients, and the ratio of temperatures."""
    rules = _rules_of(rules, name)
    if rules == Rules():
        return "not used"
    (ours, temperatures, _), (published, other_temperatures, _) = _ours(name), _published(name, rules)
    cosines = [
        float(F.cosine_similarity(a.flatten(), b.flatten(), dim=0)) for a, b in zip(ours, published, strict=True)
    ]
    norms = [float(b.norm() / a.norm()) for a, b in zip(ours, published, strict=True)]
    cell = f"{sum(cosines) / len(cosines):.3f}, {sorted(norms)[len(norms) // 2]:.2f}"
    return cell if name == "fastclip-v1" else f"{cell}, {other_temperatures[-1] / temperatures[-1]:.2f}"


def table():
    """Return the rows of the table of docs/objectives.md."""
    return [f"| {title} | {' | '.join(_difference(name, rules) for name in NAMES)} |" for title, rules in ROWS.items()]


@pytest.mark.slow
def test_the_docs_have_the_measured_differences():
    text = (DOCS / "objectives.md").read_text()
    assert [row for row in table() if row not in text] == []
