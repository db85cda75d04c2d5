"""The masked autoencoder: what its decoder is told, and which cells its loss counts."""

from __future__ import annotations

import pytest
import tiny
import torch
from beartype import beartype
from jaxtyping import jaxtyped

from model.encoder.config import preset
from model.objectives.mae import MaeDecoder, reconstruction_loss
from model.training.config import TrainConfig
from model.training.learner import MaskedAutoencoder, ModelWithHead, build_model


def test_the_loss_is_the_loop_over_hidden_cells():
    generator = torch.Generator().manual_seed(0)
    painted, cells = torch.randn(2, 3, 8, 5, generator=generator, dtype=torch.float64)
    visible = torch.rand(3, 8, generator=generator).topk(2).indices
    errors = [
        (painted[window, patch, cell] - cells[window, patch, cell]) ** 2
        for window in range(3)
        for patch in range(8)
        if patch not in visible[window]
        for cell in range(5)
    ]
    assert len(errors) == 3 * 6 * 5
    found = jaxtyped(reconstruction_loss, typechecker=beartype)(painted, cells, visible)
    assert found.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-12)


def test_what_was_visible_need_not_be_painted():
    cells = torch.rand(2, 8, 5)
    visible = torch.tensor([[0, 3], [7, 1]])
    painted = cells.scatter_add(1, visible[..., None].expand(-1, -1, 5), torch.full((2, 2, 5), 9.0))
    assert reconstruction_loss(painted, cells, visible).item() == 0


def test_the_decoder_sees_each_visible_token_at_its_place():
    decoder = MaeDecoder(tiny.encoder_config("square")).eval()
    tokens, positions = torch.randn(2, 3, 32), torch.randn(48, 32)
    visible = torch.tensor([[5, 0, 40], [1, 2, 3]])
    order = torch.tensor([2, 0, 1])
    painted = decoder(tokens, visible, positions)
    assert painted.shape == (2, 48, 256)
    torch.testing.assert_close(decoder(tokens[:, order], visible[:, order], positions), painted)
    assert not torch.allclose(decoder(tokens[:, order], visible, positions), painted)


def test_with_its_decoder_the_papers_baseline_has_32_million_weights():
    with torch.device("meta"):
        learner = MaskedAutoencoder(TrainConfig(encoder=preset("myna-base"), shards=""))
    assert round(sum(weight.numel() for weight in learner.parameters()) / 1e6) == 32


def test_its_encoder_starts_where_that_of_a_contrastive_run_does():
    config = tiny.train_config("hybrid", objective=tiny.objective_config("mae"))
    mae, contrastive = build_model(config), build_model(tiny.train_config("hybrid"))
    assert isinstance(mae, MaskedAutoencoder)
    assert isinstance(contrastive, ModelWithHead)
    for (name, one), other in zip(mae.encoder.named_parameters(), contrastive.encoder.parameters(), strict=True):
        assert torch.equal(one, other), name
