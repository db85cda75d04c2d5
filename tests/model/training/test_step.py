"""The training step against the obvious one: everything cut, everything embedded, then what is masked thrown away."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import tiny
import torch

from model.encoder.config import PATCH_SHAPES
from model.encoder.input_scale import scale_input
from model.encoder.kernels.cells import normalized_cells
from model.encoder.patches import patchify
from model.objectives.infonce import infonce
from model.training import step as step_module
from model.training.learner import MaskedAutoencoder, ModelWithHead
from model.training.stream import TrainingBatch
from stores.errors import InvalidInput
from stores.quantize import Quantizer

PATCHES = pytest.mark.parametrize("patches", ["square", "vertical", "hybrid"])


@pytest.fixture
def drawn(monkeypatch):
    """The masks that steps draw, one by one, as they draw them."""
    masks = []

    def spy(codes, starts, visible, *rest):
        masks.append(visible.clone())
        return normalized_cells(codes, starts, visible, *rest)

    monkeypatch.setattr(step_module, "normalized_cells", spy)
    return masks


def _plain_losses(learner, config, batch, masks):
    """Decode, scale, cut, embed every patch, keep the visible tokens, trunk, head, InfoNCE, kind by kind."""
    power = torch.tensor(Quantizer().decode(batch.windows(96).numpy())).transpose(1, 2)
    scaled = scale_input(power, config.encoder.input_scale)
    losses = []
    for kind, visible in zip(config.encoder.patch_kinds, masks, strict=True):
        tokens = learner.encoder.embedding(kind).embed(patchify(scaled, PATCH_SHAPES[kind]))
        kept = torch.stack([tokens[i, visible[i]] for i in range(len(tokens))])
        projected = learner.linear_head(learner.encoder.transformer(kept).mean(dim=1))
        half = len(projected) // 2
        losses.append(infonce(projected[:half], projected[half:], config.objective.temperature))
    return losses


@PATCHES
@pytest.mark.parametrize("scale", ["power", "log1p", "log"])
def test_loss_and_gradients_are_those_of_the_plain_step(patches, scale, drawn):
    config = tiny.train_config(encoder=tiny.encoder_config(patches, input_scale=scale))
    learner, batch = ModelWithHead(config), tiny.batch()
    plain = copy.deepcopy(learner)
    result = tiny.training_step(config, learner).backward(batch, 5)
    loss = torch.stack(_plain_losses(plain, config, batch, drawn)).mean()
    loss.backward()
    assert result.loss.item() == pytest.approx(loss.item(), abs=1e-5)
    for (name, ours), theirs in zip(learner.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@PATCHES
def test_bfloat16_is_close_and_keeps_weights_and_gradients_in_float32(patches):
    full, half = tiny.train_config(patches), tiny.train_config(patches, precision="bf16")
    exact, rounded, batch = ModelWithHead(full), ModelWithHead(half), tiny.batch(16)
    loss = tiny.training_step(full, exact).backward(batch, 0).loss
    result = tiny.training_step(half, rounded).backward(batch, 0)
    assert result.loss.dtype == torch.float32
    assert result.loss.item() == pytest.approx(loss.item(), rel=0.02)
    ours, theirs = (torch.cat([p.grad.flatten() for p in one.parameters()]) for one in (rounded, exact))
    assert ours.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.99


@PATCHES
def test_masks_are_a_function_of_seed_and_step(patches, drawn):
    config, batch = tiny.train_config(patches), tiny.batch()

    def masks(seed, step):
        drawn.clear()
        changed = tiny.train_config(patches, seed=seed)
        tiny.training_step(changed, ModelWithHead(config)).backward(batch, step)
        return torch.cat(drawn)

    first = masks(3, 7)
    torch.rand(5)  # the global generator has no say
    assert torch.equal(masks(3, 7), first)
    assert not torch.equal(masks(3, 8), first)
    assert not torch.equal(masks(4, 7), first)
    assert first.shape == (8 * len(config.encoder.patch_kinds), 5)


def test_the_two_views_and_the_two_kinds_are_masked_differently(drawn):
    config = tiny.train_config("hybrid")
    tiny.training_step(config).backward(tiny.batch(32), 0)
    square, vertical = drawn
    assert not torch.equal(square, vertical)
    assert not torch.equal(square[:32], square[32:])


def test_hybrid_takes_the_mean_of_the_losses_of_its_kinds(drawn):
    config, batch = tiny.train_config("hybrid"), tiny.batch()
    learner = ModelWithHead(config)
    loss = tiny.training_step(config, learner).backward(batch, 0).loss
    square, vertical = (one.item() for one in _plain_losses(learner, config, batch, drawn))
    assert square != pytest.approx(vertical, abs=1e-4)
    assert loss.item() == pytest.approx((square + vertical) / 2, abs=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_are_those_of_the_last_batch_alone(precision):
    config, batch = tiny.train_config(precision=precision), tiny.batch()
    learner = ModelWithHead(config)
    step = tiny.training_step(config, learner)
    step.backward(batch, 0)
    once = [parameter.grad.clone() for parameter in learner.parameters()]
    step.backward(tiny.batch(), 1)
    step.backward(batch, 0)
    for parameter, grad in zip(learner.parameters(), once, strict=True):
        assert torch.equal(parameter.grad, grad)


def test_windows_may_lie_anywhere_in_the_codes(drawn):
    config, batch = tiny.train_config("hybrid"), tiny.batch()
    noise = torch.randint(0, 256, (37, 128), dtype=torch.uint8)
    order = torch.randperm(8)
    windows = batch.windows(96)
    codes = torch.cat([noise, windows[order].flatten(0, 1), noise])
    elsewhere = TrainingBatch(codes, 37 + 96 * order.argsort(), batch.indices)
    losses = [tiny.training_step(config).backward(one, 3).loss for one in (batch, elsewhere)]
    assert torch.equal(*losses)


def test_the_masking_ratio_decides_how_many_patches_are_seen(drawn):
    for ratio, kept in ((0.9, 5), (0.75, 12), (0.0, 48)):
        drawn.clear()
        config = tiny.train_config(masking_ratio=ratio)
        tiny.training_step(config).backward(tiny.batch(), 0)
        assert drawn[0].shape == (8, kept)


def test_projections_of_the_views_come_back_without_gradient():
    config = tiny.train_config("hybrid")
    result = tiny.training_step(config).backward(tiny.batch(), 0)
    assert [one.shape for one in result.pair] == 2 * [(4, config.projection_width)]
    assert not any(one.requires_grad for one in (result.loss, *result.pair))


def test_hybrid_remembers_each_kind_of_patch_by_itself(drawn):
    config = tiny.train_config("hybrid", objective=tiny.objective_config("sogclr"))
    step, batch = tiny.training_step(config), tiny.batch()
    step.backward(batch, 0)
    square, vertical = step.objective.log_u[:, :4]
    assert square.isfinite().all()
    assert vertical.isfinite().all()
    assert not torch.allclose(square, vertical)


def test_a_clip_that_cannot_be_remembered_is_refused_before_anything_is_computed(monkeypatch):
    config = tiny.train_config("hybrid", objective=tiny.objective_config("sogclr"))
    step, batch = tiny.training_step(config), tiny.batch()
    monkeypatch.setattr(step, "_compute", lambda *_: pytest.fail("a captured step cannot look"))
    with pytest.raises(InvalidInput, match="clips 0 to 999 are in the batch, but sogclr remembers clips 0 to"):
        step.backward(replace(batch, indices=torch.tensor([0, 1, 999, 2])), 0)


@PATCHES
def test_mae_is_the_error_of_painting_hidden_patches_and_reaches_all_weights(patches, drawn):
    config = tiny.train_config(patches, objective=tiny.objective_config("mae"), masking_ratio=0.75)
    learner, batch = MaskedAutoencoder(config), tiny.batch()
    result = tiny.training_step(config, learner).backward(batch, 0)
    power = torch.tensor(Quantizer().decode(batch.windows(96).numpy())).transpose(1, 2)
    errors = []
    for kind, visible in zip(config.encoder.patch_kinds, drawn[: len(config.encoder.patch_kinds)], strict=True):
        cells = patchify(power, PATCH_SHAPES[kind])
        scaled = patchify(scale_input(power, config.encoder.input_scale), PATCH_SHAPES[kind])
        seen = torch.stack([scaled[i, visible[i]] for i in range(len(scaled))])
        normal = torch.nn.functional.layer_norm(seen, (256,))
        painted = learner({kind: (normal, visible)})[kind]
        hidden = [sorted(set(range(48)) - set(row.tolist())) for row in visible]
        there = torch.stack([cells[i, hidden[i]] for i in range(len(cells))]).log1p()
        errors.append((torch.stack([painted[i, hidden[i]] for i in range(len(cells))]) - there).square().mean())
    assert result.loss.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-5)
    assert result.pair is None
    assert all(weight.grad is not None and weight.grad.any() for weight in learner.parameters())
