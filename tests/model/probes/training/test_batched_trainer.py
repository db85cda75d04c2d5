"""Batched training: gradients of autograd, Adam of PyTorch, and each probe as if it were trained alone."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.probes.config import EVALUATE_EVERY_STEPS, FULL, GRIDS, QUICK, ProbeConfig, head_grid
from model.probes.training import losses
from model.probes.training.batched_adam import BatchedAdam
from model.probes.training.batched_mlp import MlpWeights, ProbeBatch
from model.probes.training.batched_trainer import BatchedTrainer
from model.probes.training.inputs import ProbeInputs, TaskTensors
from model.probes.training.sampling import BatchSampler
from stores.errors import InvalidInput

CPU = torch.device("cpu")
PLAIN = ProbeConfig(True, 0, 64, 1e-3, 0.25, 0.0)


def _task(clips=120, valid=50, width=12, classes=4, noise=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(classes, width, generator=generator)

    def sample(count):
        targets = torch.randint(0, classes, (count,), generator=generator)
        return centers[targets] + noise * torch.randn(count, width, generator=generator), targets

    (train, targets), (held_out, held_targets) = sample(clips), sample(valid)
    one_hot = torch.nn.functional.one_hot(targets, classes).float()
    score = losses.ClassScore(torch.eye(classes)[held_targets], None)
    return TaskTensors(train, one_hot, held_out, losses.class_gradient, score)


def _configs(hidden, batch=64):
    return [config for config in FULL.configs if (config.hidden, config.batch) == (hidden, batch)]


def test_the_full_grid_is_that_of_jukemir_and_the_quick_grid_a_subset():
    assert len(FULL.configs) == len(set(FULL.configs)) == 216
    assert {config.dropout for config in FULL.configs} == {0.25, 0.5, 0.75}
    assert {config.learning_rate for config in FULL.configs} == {1e-5, 1e-4, 1e-3}
    assert {config.l2 for config in FULL.configs} == {0.0, 1e-4, 1e-3}
    assert {(config.standardised, config.hidden, config.batch) for config in FULL.configs} == {
        (standardised, hidden, batch) for standardised in (False, True) for hidden in (0, 512) for batch in (64, 256)
    }
    assert (FULL.patience, EVALUATE_EVERY_STEPS) == (256, 8)
    assert set(QUICK.configs) < set(FULL.configs)
    assert GRIDS == {"full": FULL, "quick": QUICK}


@pytest.mark.parametrize(
    "changed",
    [{"dropout": 0.3}, {"dropout": 1.0}, {"batch": 0}, {"learning_rate": 0.0}, {"hidden": -1}, {"hidden": (0,)}],
)
def test_invalid_settings_are_an_error(changed):
    with pytest.raises(InvalidInput):
        replace(PLAIN, **changed)


@pytest.mark.parametrize("hidden", [(), (7,), (7, 6), (4, 9, 5)])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", losses.GRADIENTS)
def test_gradients_are_those_of_autograd(hidden, shared, kind):
    generator = torch.Generator().manual_seed(1)
    widths = [5, *hidden, 3]
    weights = MlpWeights.initialize([0, 1, 2], widths, CPU)
    groups = 1 if shared else 3
    batch = ProbeBatch(
        torch.randn(groups, 9, 5, generator=generator),
        torch.nn.functional.one_hot(torch.arange(9) % 3, 3).float(),
        (torch.rand(groups, 9, max(1, sum(hidden)), generator=generator) < 0.5).view(torch.uint8),
        torch.full((groups, 1, 1), 2.0),
    )
    gradients = weights.gradients(batch, losses.GRADIENTS[kind], torch.float32)
    tensors = [tensor.clone().requires_grad_() for tensor in weights.tensors]
    functions = {
        "classes": torch.nn.functional.cross_entropy,
        "tags": torch.nn.functional.binary_cross_entropy_with_logits,
        "numbers": torch.nn.functional.mse_loss,
    }
    total = torch.zeros(())
    for probe in range(3):
        group = 0 if shared else probe
        features = batch.features[group]
        masks = batch.hidden_mask[group][:, : sum(hidden)].split(list(hidden), dim=1) if hidden else ()
        for weight, bias, mask in zip(tensors[:-2:2], tensors[1:-2:2], masks, strict=True):
            features = torch.relu(features @ weight[probe].T + bias[probe]) * mask * 2.0
        total = total + functions[kind](features @ tensors[-2][probe].T + tensors[-1][probe], batch.targets)
    for actual, expected in zip(gradients, torch.autograd.grad(total, tensors), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [10, 20_000])
def test_batched_adam_is_adam_of_pytorch_for_each_row(size):
    generator = torch.Generator().manual_seed(2)
    rates, decays = [1e-1, 1e-2, 1e-3], [0.0, 1e-2, 1e-1]
    stacked = [torch.randn(3, size, generator=generator), torch.randn(3, 2, 2, generator=generator)]
    alone = [[tensor[row].clone().requires_grad_() for tensor in stacked] for row in range(3)]
    optimizers = [
        torch.optim.Adam(row, lr=rate, weight_decay=decay)
        for row, rate, decay in zip(alone, rates, decays, strict=True)
    ]
    adam = BatchedAdam(stacked, rates, decays)
    for step in range(1, 30):
        gradients = [torch.randn(tensor.shape, generator=generator) for tensor in stacked]
        adam.step(stacked, [gradient[:2] for gradient in gradients], slice(0, 2), step)
        adam.step(stacked, [gradient[2:] for gradient in gradients], slice(2, 3), step)
        for row, optimizer in enumerate(optimizers):
            for parameter, gradient in zip(alone[row], gradients, strict=True):
                parameter.grad = gradient[row].clone()
            optimizer.step()
    for row in range(3):
        for actual, expected in zip(stacked, alone[row], strict=True):
            torch.testing.assert_close(actual[row], expected.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(
    ("hidden", "precision"),
    [
        (0, torch.float32),
        pytest.param(512, torch.float32, marks=pytest.mark.slow),
        pytest.param(512, torch.bfloat16, marks=pytest.mark.slow),
    ],
)
def test_a_probe_trained_alone_equals_its_row_in_the_stack_for_200_steps(hidden, precision, mixed):
    """A mixed stack has probes with different inputs, as on a GPU. Other stacks read the same numbers."""
    task = _task()
    configs = _configs(hidden)[:: 9 if hidden else 4] if mixed else _configs(hidden)[:9:2]
    together = BatchedTrainer(configs, task, FULL, precision)
    for _ in range(25):
        together.train_interval()
    for row in (0, len(configs) - 1):
        single = BatchedTrainer([configs[row]], task, FULL, precision)
        for _ in range(25):
            single.train_interval()
        for actual, expected in zip(together.weights.tensors, single.weights.tensors, strict=True):
            assert (actual[row] - expected[0]).abs().max() < 1e-4
        assert (actual[row] - MlpWeights.initialize([0], [12, 512, 4] if hidden else [12, 4], CPU).tensors[-1][0]).any()


def _scores_of_loop(config, task):
    """Yield the validation scores of one probe, trained with autograd and torch.optim, for each interval."""
    first, second = MlpWeights.initialize([config.seed], [12, 4], CPU).tensors
    weight, bias = first[0].clone().requires_grad_(), second[0].clone().requires_grad_()
    adam = torch.optim.Adam([weight, bias], lr=config.learning_rate, weight_decay=config.l2)
    mean, deviation = task.train.mean(0), task.train.std(0, correction=0)
    train, valid = ((x - mean) / deviation if config.standardised else x for x in (task.train, task.valid))
    sampler = BatchSampler(config.seed, config.batch, len(train))
    for interval in itertools.count():
        yield float(task.score((valid @ weight.T + bias)[None].detach())[0])
        for clips, random_bytes in zip(sampler.clip_indices(interval), sampler.input_bytes(interval, 12), strict=True):
            mask = torch.from_numpy(random_bytes / 256 >= config.dropout)
            features = train[clips] * mask / (1 - config.dropout)
            adam.zero_grad()
            targets = task.targets[clips].argmax(1)
            torch.nn.functional.cross_entropy(features @ weight.T + bias, targets).backward()
            adam.step()


@pytest.mark.parametrize("standardised", [False, True])
def test_early_stopping_is_that_of_a_simple_loop(standardised):
    task, grid = _task(noise=3.0), replace(FULL, patience=5)
    configs = [replace(PLAIN, standardised=standardised, learning_rate=rate) for rate in (1e-2, 1e-3)]
    results = {trained.config: trained for trained in BatchedTrainer(configs, task, grid).train()}
    for config in configs:
        best, waited, best_interval = -1.0, 0, 0
        for interval, score in enumerate(_scores_of_loop(config, task)):
            improved = score > best
            best, waited, best_interval = (score, 0, interval) if improved else (best, waited + 1, best_interval)
            if waited == 5:
                break
        trained = results[config]
        assert (trained.best_step, trained.steps, trained.stopped) == (8 * best_interval, 8 * interval, "patience")
        assert trained.score == pytest.approx(best)


def test_the_winner_has_the_weights_of_its_best_step_and_is_the_first_of_equals():
    task, grid = _task(noise=2.0), replace(FULL, patience=3)
    configs = [replace(PLAIN, learning_rate=1e-2, l2=l2) for l2 in (0.0, 1e-12, 2e-12)]  # practically equal
    trainer = BatchedTrainer(configs, task, grid)
    results = trainer.train()
    winner, weights = trainer.winner
    assert winner.config == configs[0]
    assert winner.score == max(trained.score for trained in results)
    blocks = ProbeInputs([winner.config], task, torch.float32).valid()
    outputs = torch.cat([weights.outputs(block, torch.float32) for block in blocks], dim=1)
    assert float(task.score(outputs)[0]) == pytest.approx(winner.score)


def test_probes_that_stop_do_not_influence_the_others():
    task, grid = _task(noise=3.0), replace(FULL, patience=4)
    configs = [replace(PLAIN, learning_rate=rate) for rate in (1e-1, 1e-5, 1e-2, 1e-3)]
    together = {trained.config: trained for trained in BatchedTrainer(configs, task, grid).train()}
    alone = {config: BatchedTrainer([config], task, grid).train()[0] for config in configs}
    assert len({trained.steps for trained in together.values()}) > 1
    assert together == alone


def test_a_probe_with_outputs_that_are_not_finite_stops_and_the_others_continue():
    configs = [replace(PLAIN, learning_rate=1e38), replace(PLAIN, learning_rate=1e-2)]
    trainer = BatchedTrainer(configs, _task(), replace(FULL, patience=3))
    results = {trained.config: trained for trained in trainer.train()}
    assert results[configs[0]].stopped == "diverged"
    assert results[configs[1]].stopped == "patience"
    assert results[configs[1]].score > 0.5


def test_a_probe_stops_at_the_limit_of_evaluations():
    (trained,) = BatchedTrainer([PLAIN], _task(), replace(FULL, patience=10**6, max_evaluations=4)).train()
    assert (trained.stopped, trained.steps) == ("limit", 32)


def test_sampling_is_reproducible_and_no_clip_occurs_twice_in_a_step():
    sampler = BatchSampler(0, 64, 100)
    clips = sampler.clip_indices(3)
    assert clips.shape == (8, 64)
    assert all(len(set(step)) == 64 for step in clips.tolist())
    np.testing.assert_array_equal(clips, BatchSampler(0, 64, 100).clip_indices(3))
    assert (sampler.clip_indices(4) != clips).any()
    assert (BatchSampler(1, 64, 100).clip_indices(3) != clips).any()
    assert BatchSampler(0, 64, 10).clip_indices(0).shape == (8, 10)


def test_dropout_drops_the_stated_share_and_preserves_the_mean():
    random_bytes = BatchSampler(0, 64, 100).input_bytes(0, 500)
    assert random_bytes.shape == (8, 64, 500)
    for config in (replace(PLAIN, dropout=p) for p in (0.25, 0.5, 0.75)):
        assert (random_bytes < config.dropout_threshold).mean() == pytest.approx(config.dropout, abs=0.005)
    task = replace(_task(), train=torch.ones(120, 500))
    batch = ProbeInputs([replace(PLAIN, standardised=False, dropout=0.75)], task, torch.float32).batch(
        torch.arange(64), torch.from_numpy(random_bytes[0]), torch.zeros(64, 1, dtype=torch.uint8)
    )
    assert set(batch.features.unique().tolist()) == {0.0, 4.0}
    assert float(batch.features.mean()) == pytest.approx(1, abs=0.03)


def test_bf16_products_reach_the_scores_of_float32():
    task = _task(noise=2.5)
    config, grid = replace(PLAIN, hidden=512), replace(FULL, patience=20)
    trainers = [BatchedTrainer([config], task, grid, precision) for precision in (torch.float32, torch.bfloat16)]
    exact, bf16 = (trainer.train()[0].score for trainer in trainers)
    assert bf16 == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize("hidden", [(32,), (48, 24)])
def test_a_head_of_any_depth_learns_and_a_list_of_one_width_is_that_width(hidden):
    task = _task(noise=0.3)
    grid = head_grid([hidden], [0.5])
    trained = BatchedTrainer(grid.configs, task, replace(grid, max_evaluations=12))
    assert [tensor.shape[1:] for tensor in trained.weights.tensors[::2]] == [
        (after, before) for before, after in zip((12, *hidden), (*hidden, 4), strict=True)
    ]
    [result] = trained.train()
    assert result.score > 0.7
    if len(hidden) == 1:
        single = [replace(config, hidden=hidden[0]) for config in grid.configs]
        assert BatchedTrainer(single, task, replace(grid, max_evaluations=12)).train()[0].score == result.score
