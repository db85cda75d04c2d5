"""The trunk that training runs against the plain one: values and gradients of all weights."""

from __future__ import annotations

import copy

import pytest
import tiny
import torch
import view_pairs

from model.encoder import fused
from model.encoder.kernels import add_norm, attention, linear_gelu
from model.encoder.vit import Encoder


def _gradients(trunk, read, tokens):
    tokens = tokens.clone().requires_grad_()
    out = read(tokens)
    out.backward(torch.sin(torch.arange(out.numel())).view_as(out).to(out))
    return [out, tokens.grad, *(weight.grad for weight in trunk.parameters())]


@pytest.mark.parametrize("kernels", [False, True])
def test_the_fused_trunk_is_the_plain_one(kernels, monkeypatch):
    trunk = Encoder(tiny.encoder_config()).transformer.to(view_pairs.DEVICE)
    plain, tokens = copy.deepcopy(trunk), torch.randn(7, 5, trunk.norm.normalized_shape[0]).to(view_pairs.DEVICE)
    if kernels:
        for room in (add_norm, attention, linear_gelu):
            monkeypatch.setattr(room, "fused", lambda tensor: True)
    ours = _gradients(trunk, lambda one: fused.forward(trunk, one), tokens)
    for one, other in zip(ours, _gradients(plain, plain, tokens), strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


def test_cells_that_are_normalised_already_are_embedded_as_patches_are():
    config = tiny.encoder_config("vertical")
    embedding = Encoder(config).embedding("vertical")
    patches, visible = torch.rand(3, 5, 256) * 9, torch.arange(15).view(3, 5)
    with torch.no_grad():
        for weight in embedding.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    cells = torch.nn.functional.layer_norm(patches, (256,))
    torch.testing.assert_close(embedding.embed_cells(cells, visible), embedding.embed(patches, visible))
