"""The masked autoencoder: the input of its decoder, and the cells that its loss counts."""

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
    predicted, cells = torch.randn(2, 3, 8, 5, generator=generator, dtype=torch.float64)
    visible = torch.rand(3, 8, generator=generator).topk(2).indices
    errors = [
        (predicted[window, patch, cell] - cells[window, patch, cell]) ** 2
        for window in range(3)
        for patch in range(8)
        if patch not in visible[window]
        for cell in range(5)
    ]
    assert len(errors) == 3 * 6 * 5
    loss = jaxtyped(reconstruction_loss, typechecker=beartype)(predicted, cells, visible)
    assert loss.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-12)


def test_the_loss_ignores_visible_patches():
    cells = torch.rand(2, 8, 5)
    visible = torch.tensor([[0, 3], [7, 1]])
    predicted = cells.scatter_add(1, visible[..., None].expand(-1, -1, 5), torch.full((2, 2, 5), 9.0))
    assert reconstruction_loss(predicted, cells, visible).item() == 0


def test_the_decoder_uses_the_position_of_each_visible_token():
    decoder = MaeDecoder(tiny.encoder_config("square")).eval()
    tokens, positions = torch.randn(2, 3, 32), torch.randn(48, 32)
    visible = torch.tensor([[5, 0, 40], [1, 2, 3]])
    order = torch.tensor([2, 0, 1])
    predicted = decoder(tokens, visible, positions)
    assert predicted.shape == (2, 48, 256)
    torch.testing.assert_close(decoder(tokens[:, order], visible[:, order], positions), predicted)
    assert not torch.allclose(decoder(tokens[:, order], visible, positions), predicted)


def test_myna_base_with_a_decoder_has_32_million_weights():
    with torch.device("meta"):
        learner = MaskedAutoencoder(TrainConfig(encoder=preset("myna-base"), shards=""))
    assert round(sum(weight.numel() for weight in learner.parameters()) / 1e6) == 32


def test_its_encoder_starts_with_the_weights_of_a_contrastive_run():
    config = tiny.train_config("hybrid", objective=tiny.objective_config("mae"))
    mae, contrastive = build_model(config), build_model(tiny.train_config("hybrid"))
    assert isinstance(mae, MaskedAutoencoder)
    assert isinstance(contrastive, ModelWithHead)
    for (name, weight), expected in zip(mae.encoder.named_parameters(), contrastive.encoder.parameters(), strict=True):
        assert torch.equal(weight, expected), name
