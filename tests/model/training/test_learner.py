"""The trained models: their weights depend on the seed alone, and they project what the encoder embeds."""

from __future__ import annotations

import pytest
import tiny
import torch
from visible_patches import embed_visible

from model.encoder.vit import Encoder
from model.training.learner import ModelWithHead


def _views(kinds, windows=6, visible=5):
    generator = torch.Generator().manual_seed(0)
    return {
        kind: (
            torch.nn.functional.layer_norm(torch.rand(windows, visible, 256, generator=generator), (256,)),
            torch.rand(windows, 48, generator=generator).topk(visible).indices,
        )
        for kind in kinds
    }


@pytest.mark.parametrize("patches", ["square", "hybrid"])
def test_weights_depend_on_the_seed_alone(patches):
    first = ModelWithHead(tiny.train_config(patches))
    torch.rand(100)
    same, other = ModelWithHead(tiny.train_config(patches)), ModelWithHead(tiny.train_config(patches, seed=4))
    for (name, weight), expected in zip(first.named_parameters(), same.parameters(), strict=True):
        assert torch.equal(weight, expected), name
    assert not torch.equal(first.linear_head.weight, other.linear_head.weight)


def test_the_global_generator_is_left_unchanged():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    ModelWithHead(tiny.train_config())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_other_settings_do_not_change_the_initial_encoder():
    first, second = (
        ModelWithHead(tiny.train_config(**changed)) for changed in ({}, {"projection_width": 64, "batch": 7})
    )
    for (name, weight), other in zip(first.encoder.named_parameters(), second.encoder.parameters(), strict=True):
        assert torch.equal(weight, other), name


def test_the_encoder_equals_one_that_is_built_alone_with_the_seed():
    config = tiny.train_config("hybrid")
    torch.manual_seed(config.seed)
    alone = Encoder(config.encoder).state_dict()
    assert all(torch.equal(tensor, alone[name]) for name, tensor in ModelWithHead(config).encoder.state_dict().items())


@pytest.mark.parametrize("patches", ["square", "vertical", "hybrid"])
def test_every_patch_kind_is_projected_independently(patches):
    config = tiny.train_config(patches)
    model = ModelWithHead(config)
    views = _views(config.encoder.patch_kinds)
    projections = model(views)
    assert list(projections) == list(config.encoder.patch_kinds)
    for kind, (cells, visible) in views.items():
        # the encoder normalizes cells again, which changes normalized cells only by its epsilon
        expected = model.linear_head(embed_visible(model.encoder, cells, visible, kind))
        assert projections[kind].shape == (6, config.projection_width)
        torch.testing.assert_close(projections[kind], expected, atol=1e-4, rtol=1e-4)
