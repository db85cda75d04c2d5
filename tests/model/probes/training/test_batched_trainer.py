"""Stacked probes: gradients are autograd's, Adam is PyTorch's, and a probe alone is what it is in a grid."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.probes.config import EVALUATE_EVERY_STEPS, FULL, GRIDS, QUICK, ProbeConfig
from model.probes.training import losses
from model.probes.training.batched_adam import BatchedAdam
from model.probes.training.batched_mlp import MlpWeights, ProbeBatch
from model.probes.training.batched_trainer import BatchedTrainer
from model.probes.training.inputs import ProbeClips, ProbeInputs
from model.probes.training.sampling import BatchSampler
from stores.errors import InvalidInput

CPU = torch.device("cpu")
PLAIN = ProbeConfig(True, 0, 64, 1e-3, 0.25, 0.0)


def _clips(clips=120, valid=50, width=12, classes=4, noise=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, width, generator=generator)

    def drawn(count):
        targets = torch.randint(0, classes, (count,), generator=generator)
        return centres[targets] + noise * torch.randn(count, width, generator=generator), targets

    (train, targets), (held_out, held_targets) = drawn(clips), drawn(valid)
    one_hot = torch.nn.functional.one_hot(targets, classes).float()
    score = losses.ClassScore(torch.eye(classes)[held_targets], None)
    return ProbeClips(train, one_hot, held_out, losses.class_gradient, score)


def _configs(hidden, batch=64):
    return [one for one in FULL.configs if (one.hidden, one.batch) == (hidden, batch)]


def test_the_full_grid_is_jukemirs_and_the_quick_one_is_a_part_of_it():
    assert len(FULL.configs) == len(set(FULL.configs)) == 216
    assert {one.dropout for one in FULL.configs} == {0.25, 0.5, 0.75}
    assert {one.learning_rate for one in FULL.configs} == {1e-5, 1e-4, 1e-3}
    assert {one.l2 for one in FULL.configs} == {0.0, 1e-4, 1e-3}
    assert {(one.standardised, one.hidden, one.batch) for one in FULL.configs} == {
        (standardised, hidden, batch) for standardised in (False, True) for hidden in (0, 512) for batch in (64, 256)
    }
    assert (FULL.patience, EVALUATE_EVERY_STEPS) == (256, 8)
    assert set(QUICK.configs) < set(FULL.configs)
    assert GRIDS == {"full": FULL, "quick": QUICK}


@pytest.mark.parametrize("changed", [{"dropout": 0.3}, {"dropout": 1.0}, {"batch": 0}, {"learning_rate": 0.0}])
def test_settings_that_cannot_be_are_refused(changed):
    with pytest.raises(InvalidInput):
        replace(PLAIN, **changed)


@pytest.mark.parametrize("hidden", [0, 7])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", losses.GRADIENTS)
def test_gradients_are_those_of_autograd(hidden, shared, kind):
    generator = torch.Generator().manual_seed(1)
    widths = [width for width in (5, hidden, 3) if width]
    weights = MlpWeights.start([0, 1, 2], widths, CPU)
    groups = 1 if shared else 3
    batch = ProbeBatch(
        torch.randn(groups, 9, 5, generator=generator),
        torch.nn.functional.one_hot(torch.arange(9) % 3, 3).float(),
        (torch.rand(groups, 9, max(1, hidden), generator=generator) < 0.5).view(torch.uint8),
        torch.full((groups, 1, 1), 2.0),
    )
    found = weights.gradients(batch, losses.GRADIENTS[kind], torch.float32)
    tensors = [one.clone().requires_grad_() for one in weights.tensors]
    functions = {
        "classes": torch.nn.functional.cross_entropy,
        "tags": torch.nn.functional.binary_cross_entropy_with_logits,
        "numbers": torch.nn.functional.mse_loss,
    }
    total = torch.zeros(())
    for probe in range(3):
        see = 0 if shared else probe
        features = batch.features[see]
        if hidden:
            features = torch.relu(features @ tensors[0][probe].T + tensors[1][probe])
            features = features * batch.kept[see] * 2.0
        total = total + functions[kind](features @ tensors[-2][probe].T + tensors[-1][probe], batch.targets)
    for mine, theirs in zip(found, torch.autograd.grad(total, tensors), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [10, 20_000])
def test_adam_is_pytorchs_with_a_rate_and_a_decay_for_each_row(size):
    generator = torch.Generator().manual_seed(2)
    rates, decays = [1e-1, 1e-2, 1e-3], [0.0, 1e-2, 1e-1]
    stacked = [torch.randn(3, size, generator=generator), torch.randn(3, 2, 2, generator=generator)]
    alone = [[one[row].clone().requires_grad_() for one in stacked] for row in range(3)]
    theirs = [
        torch.optim.Adam(one, lr=rate, weight_decay=decay)
        for one, rate, decay in zip(alone, rates, decays, strict=True)
    ]
    adam = BatchedAdam(stacked, rates, decays)
    for step in range(1, 30):
        gradients = [torch.randn(one.shape, generator=generator) for one in stacked]
        adam.step(stacked, [one[:2] for one in gradients], slice(0, 2), step)
        adam.step(stacked, [one[2:] for one in gradients], slice(2, 3), step)
        for row, optimizer in enumerate(theirs):
            for parameter, gradient in zip(alone[row], gradients, strict=True):
                parameter.grad = gradient[row].clone()
            optimizer.step()
    for row in range(3):
        for mine, other in zip(stacked, alone[row], strict=True):
            torch.testing.assert_close(mine[row], other.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(("hidden", "precision"), [(0, torch.float32), (512, torch.float32), (512, torch.bfloat16)])
def test_a_probe_alone_is_its_row_of_the_grid_for_200_steps(hidden, precision, mixed):
    """Mixed: a stack of all inputs, as on a GPU; else of those that read the same numbers."""
    clips = _clips()
    configs = _configs(hidden)[:: 9 if hidden else 4] if mixed else _configs(hidden)[:9:2]
    together = BatchedTrainer(configs, clips, FULL, precision)
    for _ in range(25):
        together.take_round()
    for row in (0, len(configs) - 1):
        single = BatchedTrainer([configs[row]], clips, FULL, precision)
        for _ in range(25):
            single.take_round()
        for mine, other in zip(together.weights.tensors, single.weights.tensors, strict=True):
            assert (mine[row] - other[0]).abs().max() < 1e-4
        assert (mine[row] - MlpWeights.start([0], [12, 512, 4] if hidden else [12, 4], CPU).tensors[-1][0]).any()


def _loop(config, clips):
    """The same protocol, one probe, by autograd and torch.optim: its validation scores, round by round."""
    first, second = MlpWeights.start([config.seed], [12, 4], CPU).tensors
    weight, bias = first[0].clone().requires_grad_(), second[0].clone().requires_grad_()
    adam = torch.optim.Adam([weight, bias], lr=config.learning_rate, weight_decay=config.l2)
    mean, deviation = clips.train.mean(0), clips.train.std(0, correction=0)
    train, valid = (((one - mean) / deviation if config.standardised else one) for one in (clips.train, clips.valid))
    stream = BatchSampler(config.seed, config.batch, len(train))
    for round_ in itertools.count():
        yield float(clips.score((valid @ weight.T + bias)[None].detach())[0])
        for chosen, drawn in zip(stream.clips_of(round_), stream.input_bytes(round_, 12), strict=True):
            kept = torch.from_numpy(drawn / 256 >= config.dropout)
            features = train[chosen] * kept / (1 - config.dropout)
            adam.zero_grad()
            targets = clips.targets[chosen].argmax(1)
            torch.nn.functional.cross_entropy(features @ weight.T + bias, targets).backward()
            adam.step()


@pytest.mark.parametrize("standardised", [False, True])
def test_early_stopping_is_that_of_a_plain_loop(standardised):
    clips, grid = _clips(noise=3.0), replace(FULL, patience=5)
    configs = [replace(PLAIN, standardised=standardised, learning_rate=rate) for rate in (1e-2, 1e-3)]
    stack = BatchedTrainer(configs, clips, grid)
    ended = {one.config: one for one in stack.train()}
    for config in configs:
        best, bored, best_round = -1.0, 0, 0
        for round_, score in enumerate(_loop(config, clips)):
            best, bored, best_round = (score, 0, round_) if score > best else (best, bored + 1, best_round)
            if bored == 5:
                break
        found = ended[config]
        assert (found.best_step, found.steps, found.stopped) == (8 * best_round, 8 * round_, "patience")
        assert found.score == pytest.approx(best)


def test_the_champion_has_the_weights_of_its_best_step_and_the_first_of_equals_wins():
    clips, grid = _clips(noise=2.0), replace(FULL, patience=3)
    configs = [replace(PLAIN, learning_rate=1e-2, l2=l2) for l2 in (0.0, 1e-12, 2e-12)]  # all alike
    stack = BatchedTrainer(configs, clips, grid)
    ended = stack.train()
    trained, weights = stack.champion
    assert trained.config == configs[0]
    assert trained.score == max(one.score for one in ended)
    again = clips.score(weights.outputs(ProbeInputs([trained.config], clips, torch.float32).valid(), torch.float32))
    assert float(again[0]) == pytest.approx(trained.score)


def test_probes_that_have_stopped_leave_the_others_as_they_would_be_alone():
    clips, grid = _clips(noise=3.0), replace(FULL, patience=4)
    configs = [replace(PLAIN, learning_rate=rate) for rate in (1e-1, 1e-5, 1e-2, 1e-3)]
    together = {one.config: one for one in BatchedTrainer(configs, clips, grid).train()}
    alone = {config: BatchedTrainer([config], clips, grid).train()[0] for config in configs}
    assert len({one.steps for one in together.values()}) > 1
    assert together == alone


def test_outputs_that_are_not_finite_end_a_probe_and_leave_the_others():
    clips = _clips()
    configs = [replace(PLAIN, learning_rate=1e38), replace(PLAIN, learning_rate=1e-2)]
    ended = {one.config: one for one in BatchedTrainer(configs, clips, replace(FULL, patience=3)).train()}
    assert ended[configs[0]].stopped == "diverged"
    assert ended[configs[1]].stopped == "patience"
    assert ended[configs[1]].score > 0.5


def test_a_probe_that_never_ends_is_stopped_at_the_limit():
    clips = _clips()
    (ended,) = BatchedTrainer([PLAIN], clips, replace(FULL, patience=10**6, most_evaluations=4)).train()
    assert (ended.stopped, ended.steps) == ("limit", 32)


def test_a_stream_repeats_itself_and_no_clip_comes_twice_in_a_step():
    stream = BatchSampler(0, 64, 100)
    drawn = stream.clips_of(3)
    assert drawn.shape == (8, 64)
    assert all(len(set(step)) == 64 for step in drawn.tolist())
    np.testing.assert_array_equal(drawn, BatchSampler(0, 64, 100).clips_of(3))
    assert (stream.clips_of(4) != drawn).any()
    assert (BatchSampler(1, 64, 100).clips_of(3) != drawn).any()
    assert BatchSampler(0, 64, 10).clips_of(0).shape == (8, 10)


def test_dropout_leaves_out_as_much_as_it_says_and_keeps_the_mean():
    drawn = BatchSampler(0, 64, 100).input_bytes(0, 500)
    assert drawn.shape == (8, 64, 500)
    for config in (replace(PLAIN, dropout=p) for p in (0.25, 0.5, 0.75)):
        assert (drawn < config.dropped_bytes).mean() == pytest.approx(config.dropout, abs=0.005)
    clips = replace(_clips(), train=torch.ones(120, 500))
    batch = ProbeInputs([replace(PLAIN, standardised=False, dropout=0.75)], clips, torch.float32).batch(
        torch.arange(64), torch.from_numpy(drawn[0]), torch.zeros(64, 1, dtype=torch.uint8)
    )
    assert set(batch.features.unique().tolist()) == {0.0, 4.0}
    assert float(batch.features.mean()) == pytest.approx(1, abs=0.03)


def test_bf16_products_train_probes_as_good_as_float32():
    clips = _clips(noise=2.5)
    config, grid = replace(PLAIN, hidden=512), replace(FULL, patience=20)
    exact, coarse = (BatchedTrainer([config], clips, grid, one) for one in (torch.float32, torch.bfloat16))
    assert coarse.train()[0].score == pytest.approx(exact.train()[0].score, abs=0.05)
