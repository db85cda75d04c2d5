"""The training step against a plain one, which embeds every patch of every window and then drops the hidden ones."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import tiny
import torch

from model.encoder.input_scale import scale_input
from model.encoder.kernels.cells import normalized_cells
from model.encoder.kernels.product_choice import ProductChoice
from model.encoder.kernels.products import products_of_trunk
from model.encoder.patches import patchify
from model.objectives.infonce import infonce
from model.training import step as step_module
from model.training.learner import MaskedAutoencoder, ModelWithHead, build_model
from model.training.stream import TrainingBatch
from stores.errors import InvalidInput
from stores.quantize import Quantizer

PATCHES = pytest.mark.parametrize("patches", ["square", "vertical", "hybrid"])


@pytest.fixture
def masks(monkeypatch):
    """The visible patches of each mask that a step uses, in the order of their use."""
    recorded = []

    def spy(codes, starts, visible, *rest):
        recorded.append(visible.clone())
        return normalized_cells(codes, starts, visible, *rest)

    monkeypatch.setattr(step_module, "normalized_cells", spy)
    return recorded


def _plain_losses(model, config, batch, masks):
    """Return the InfoNCE loss of each patch kind, computed from the tokens of all patches."""
    power = torch.tensor(Quantizer().decode(batch.windows(96).numpy())).transpose(1, 2)
    scaled = scale_input(power, config.encoder.input_scale)
    losses = []
    for kind, visible in zip(config.encoder.patch_kinds, masks, strict=True):
        tokens = model.encoder.embedding(kind).embed(patchify(scaled, config.encoder.patch_shapes[kind]))
        visible_tokens = torch.stack([tokens[i, visible[i]] for i in range(len(tokens))])
        projected = model.linear_head(model.encoder.transformer(visible_tokens).mean(dim=1))
        half = len(projected) // 2
        losses.append(infonce(projected[:half], projected[half:], config.objective.temperature))
    return losses


@PATCHES
@pytest.mark.parametrize("scale", ["power", "log1p", "log1p1000", "log"])
def test_loss_and_gradients_equal_those_of_the_plain_step(patches, scale, masks):
    config = tiny.train_config(encoder=tiny.encoder_config(patches, input_scale=scale))
    model, batch = ModelWithHead(config), tiny.batch()
    plain = copy.deepcopy(model)
    result = tiny.training_step(config, model).backward(batch, 5)
    loss = torch.stack(_plain_losses(plain, config, batch, masks)).mean()
    loss.backward()
    assert result.loss.item() == pytest.approx(loss.item(), abs=1e-5)
    for (name, weight), expected in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, expected.grad, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@PATCHES
def test_bfloat16_is_close_and_leaves_float32_weights_and_gradients(patches):
    full, half = tiny.train_config(patches), tiny.train_config(patches, precision="bf16")
    exact, rounded, batch = ModelWithHead(full), ModelWithHead(half), tiny.batch(16)
    loss = tiny.training_step(full, exact).backward(batch, 0).loss
    result = tiny.training_step(half, rounded).backward(batch, 0)
    assert result.loss.dtype == torch.float32
    assert result.loss.item() == pytest.approx(loss.item(), rel=0.02)
    gradient, expected = (torch.cat([p.grad.flatten() for p in model.parameters()]) for model in (rounded, exact))
    assert gradient.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(gradient, expected, dim=0) > 0.99


@PATCHES
def test_masks_are_a_function_of_seed_and_step(patches, masks):
    config, batch = tiny.train_config(patches), tiny.batch()

    def masks_of(seed, step):
        masks.clear()
        changed = tiny.train_config(patches, seed=seed)
        tiny.training_step(changed, ModelWithHead(config)).backward(batch, step)
        return torch.cat(masks)

    first = masks_of(3, 7)
    torch.rand(5)  # the global generator has no influence
    assert torch.equal(masks_of(3, 7), first)
    assert not torch.equal(masks_of(3, 8), first)
    assert not torch.equal(masks_of(4, 7), first)
    assert first.shape == (8 * len(config.encoder.patch_kinds), 5)


def test_views_and_patch_kinds_are_masked_differently(masks):
    config = tiny.train_config("hybrid")
    tiny.training_step(config).backward(tiny.batch(32), 0)
    square, vertical = masks
    assert not torch.equal(square, vertical)
    assert not torch.equal(square[:32], square[32:])


def test_the_loss_of_a_hybrid_is_the_mean_over_patch_kinds(masks):
    config, batch = tiny.train_config("hybrid"), tiny.batch()
    model = ModelWithHead(config)
    loss = tiny.training_step(config, model).backward(batch, 0).loss
    square, vertical = (loss.item() for loss in _plain_losses(model, config, batch, masks))
    assert square != pytest.approx(vertical, abs=1e-4)
    assert loss.item() == pytest.approx((square + vertical) / 2, abs=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_are_those_of_the_last_batch_only(precision):
    config, batch = tiny.train_config(precision=precision), tiny.batch()
    model = ModelWithHead(config)
    step = tiny.training_step(config, model)
    step.backward(batch, 0)
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    step.backward(tiny.batch(), 1)
    step.backward(batch, 0)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_windows_may_lie_anywhere_in_the_codes(masks):
    config, batch = tiny.train_config("hybrid"), tiny.batch()
    noise = torch.randint(0, 256, (37, 128), dtype=torch.uint8)
    order = torch.randperm(8)
    windows = batch.windows(96)
    codes = torch.cat([noise, windows[order].flatten(0, 1), noise])
    shuffled = TrainingBatch(codes, 37 + 96 * order.argsort(), batch.indices)
    losses = [tiny.training_step(config).backward(each, 3).loss for each in (batch, shuffled)]
    assert torch.equal(*losses)


def test_the_masking_ratio_sets_the_number_of_visible_patches(masks):
    for ratio, count in ((0.9, 5), (0.75, 12), (0.0, 48)):
        masks.clear()
        config = tiny.train_config(masking_ratio=ratio)
        tiny.training_step(config).backward(tiny.batch(), 0)
        assert masks[0].shape == (8, count)


def test_projections_of_the_views_are_returned_without_gradient():
    config = tiny.train_config("hybrid")
    result = tiny.training_step(config).backward(tiny.batch(), 0)
    assert [view.shape for view in result.projections] == 2 * [(4, config.projection_width)]
    assert not any(tensor.requires_grad for tensor in (result.loss, *result.projections))


def test_a_hybrid_has_a_separate_memory_for_each_patch_kind(masks):
    config = tiny.train_config("hybrid", objective=tiny.objective_config("sogclr"))
    step, batch = tiny.training_step(config), tiny.batch()
    step.backward(batch, 0)
    square, vertical = step.objective.log_u[:, :4]
    assert square.isfinite().all()
    assert vertical.isfinite().all()
    assert not torch.allclose(square, vertical)


def test_a_clip_outside_the_memory_is_an_error_before_any_computation(monkeypatch):
    config = tiny.train_config("hybrid", objective=tiny.objective_config("sogclr"))
    step, batch = tiny.training_step(config), tiny.batch()
    monkeypatch.setattr(step, "_compute", lambda *_: pytest.fail("a captured step cannot check indices"))
    with pytest.raises(InvalidInput, match="clips 0 to 999 are in the batch, but sogclr remembers clips 0 to"):
        step.backward(replace(batch, indices=torch.tensor([0, 1, 999, 2])), 0)


@PATCHES
def test_the_mae_loss_is_the_error_on_hidden_patches_and_reaches_all_weights(patches, masks):
    config = tiny.train_config(patches, objective=tiny.objective_config("mae"), masking_ratio=0.75)
    model, batch = MaskedAutoencoder(config), tiny.batch()
    result = tiny.training_step(config, model).backward(batch, 0)
    power = torch.tensor(Quantizer().decode(batch.windows(96).numpy())).transpose(1, 2)
    errors = []
    for kind, visible in zip(config.encoder.patch_kinds, masks[: len(config.encoder.patch_kinds)], strict=True):
        cells = patchify(power, config.encoder.patch_shapes[kind])
        scaled = patchify(scale_input(power, config.encoder.input_scale), config.encoder.patch_shapes[kind])
        visible_cells = torch.stack([scaled[i, visible[i]] for i in range(len(scaled))])
        normalized = torch.nn.functional.layer_norm(visible_cells, (256,))
        predicted = model({kind: (normalized, visible)})[kind]
        hidden = [sorted(set(range(48)) - set(row.tolist())) for row in visible]
        targets = torch.stack([cells[i, hidden[i]] for i in range(len(cells))]).log1p()
        errors.append((torch.stack([predicted[i, hidden[i]] for i in range(len(cells))]) - targets).square().mean())
    assert result.loss.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-5)
    assert result.projections is None
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())


def test_parts_of_products_are_added_in_float32():
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    config = tiny.train_config()
    tiny.training_step(config, build_model(config))
    assert not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction


@pytest.mark.parametrize(("patches", "tokens"), [("square", 40), ("hybrid", 80)])
def test_a_step_by_kernels_uses_the_choice_for_its_products(patches, tokens, monkeypatch):
    choices, requests = [], []

    def choose(wanted, device):
        requests.extend(wanted)
        return tuple(ProductChoice(product, "cublaslt", {"cublaslt": 1.0}, {}) for product in wanted)

    monkeypatch.setattr(step_module, "uses_kernels", lambda weight: True)
    monkeypatch.setattr(step_module, "choose_products", choose)
    monkeypatch.setattr(step_module.products, "use", choices.append)
    config = tiny.train_config(patches, precision="bf16")  # 4 clips with 2 windows, and 5 patches of each kind
    step = tiny.training_step(config)
    assert requests == list(products_of_trunk(config.encoder, tokens))
    assert choices == [dict.fromkeys(requests, "cublaslt")]
    assert [choice.product for choice in step.product_choices] == requests
    assert tiny.training_step(replace(config, precision="fp32")).product_choices == ()
    assert len(choices) == 1
