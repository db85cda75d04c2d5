"""The fused trunk of training compared with the plain trunk: values and gradients of all weights."""

from __future__ import annotations

import copy

import pytest
import tiny
import torch
import view_pairs
from visible_patches import embed_patches

from model.encoder import fused
from model.encoder.kernels import attention
from model.encoder.vit import Encoder


def _output_and_gradients(trunk, forward, tokens):
    tokens = tokens.clone().requires_grad_()
    out, *gradients = _output_and_weight_gradients(trunk, forward(tokens))
    return [out, tokens.grad, *gradients]


def _output_and_weight_gradients(module, out):
    out.backward(torch.sin(torch.arange(out.numel())).view_as(out).to(out))
    return [out, *(weight.grad for weight in module.parameters())]


@pytest.mark.parametrize("kernels", [False, True])
def test_the_fused_trunk_equals_the_plain_trunk(kernels, monkeypatch):
    trunk = Encoder(tiny.encoder_config()).transformer.to(view_pairs.DEVICE)
    plain, tokens = copy.deepcopy(trunk), torch.randn(7, 5, trunk.norm.normalized_shape[0]).to(view_pairs.DEVICE)
    if kernels:
        for module in (fused, attention):
            monkeypatch.setattr(module, "uses_kernels", lambda tensor: True)
    fused_results = _output_and_gradients(trunk, lambda inputs: fused.forward(trunk, inputs), tokens)
    for result, expected in zip(fused_results, _output_and_gradients(plain, plain, tokens), strict=True):
        torch.testing.assert_close(result, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kernels", [False, True])
@pytest.mark.parametrize("kind", ["square", "vertical"])
def test_normalized_cells_get_the_same_tokens_as_patches(kind, kernels, monkeypatch):
    embedding = Encoder(tiny.encoder_config(kind)).embedding(kind).to(view_pairs.DEVICE)
    patches, visible = (
        torch.rand(3, 5, 256).to(view_pairs.DEVICE) * 9,
        torch.arange(15).view(3, 5).to(view_pairs.DEVICE),
    )
    with torch.no_grad():
        for weight in embedding.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    cells, plain = torch.nn.functional.layer_norm(patches, (256,)), copy.deepcopy(embedding)
    if kernels:
        monkeypatch.setattr(fused, "uses_kernels", lambda tensor: True)
    results = _output_and_weight_gradients(embedding, fused.embed(embedding, cells, visible))
    expected = _output_and_weight_gradients(plain, embed_patches(plain, patches, visible))
    for result, reference in zip(results, expected, strict=True):
        torch.testing.assert_close(result, reference, atol=1e-4, rtol=1e-4)
