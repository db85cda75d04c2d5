"""What is trained: its seed alone decides it, and it projects what the encoder gives."""

from __future__ import annotations

import pytest
import tiny
import torch
from visible_patches import embed_visible

from model.encoder.vit import Encoder
from model.training.learner import ModelWithHead


def _views(kinds, windows=6, seen=5):
    generator = torch.Generator().manual_seed(0)
    return {
        kind: (
            torch.nn.functional.layer_norm(torch.rand(windows, seen, 256, generator=generator), (256,)),
            torch.rand(windows, 48, generator=generator).topk(seen).indices,
        )
        for kind in kinds
    }


@pytest.mark.parametrize("patches", ["square", "hybrid"])
def test_the_seed_alone_decides_the_weights(patches):
    first = ModelWithHead(tiny.train_config(patches))
    torch.rand(100)
    again, other = ModelWithHead(tiny.train_config(patches)), ModelWithHead(tiny.train_config(patches, seed=4))
    for (name, one), same in zip(first.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, same), name
    assert not torch.equal(first.linear_head.weight, other.linear_head.weight)


def test_the_global_generator_is_left_as_it_was():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    ModelWithHead(tiny.train_config())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_settings_that_are_not_the_encoders_do_not_change_where_it_starts():
    one, other = (ModelWithHead(tiny.train_config(**changed)) for changed in ({}, {"projection_width": 64, "batch": 7}))
    for (name, ours), theirs in zip(one.encoder.named_parameters(), other.encoder.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_the_encoder_is_the_one_that_its_seed_would_build_alone():
    config = tiny.train_config("hybrid")
    torch.manual_seed(config.seed)
    alone = Encoder(config.encoder).state_dict()
    assert all(torch.equal(tensor, alone[name]) for name, tensor in ModelWithHead(config).encoder.state_dict().items())


@pytest.mark.parametrize("patches", ["square", "vertical", "hybrid"])
def test_every_kind_of_patch_is_projected_as_by_itself(patches):
    config = tiny.train_config(patches)
    learner = ModelWithHead(config)
    views = _views(config.encoder.patch_kinds)
    found = learner(views)
    assert list(found) == list(config.encoder.patch_kinds)
    for kind, (cells, visible) in views.items():
        # its own norm changes nothing of cells that are normalised, but for its epsilon
        alone = learner.linear_head(embed_visible(learner.encoder, cells, visible, kind))
        assert found[kind].shape == (6, config.projection_width)
        torch.testing.assert_close(found[kind], alone, atol=1e-4, rtol=1e-4)
