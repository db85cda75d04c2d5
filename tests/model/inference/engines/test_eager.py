"""The eager engine meets the contract of engines in both precisions, from power and from codes, and for layers."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from engine_contract import POWER, EngineContract, encoder_of, expected

from model.encoder.device import fastest_precision
from model.encoder.input_scale import scale_input
from model.encoder.patches import patchify
from model.inference.engines import eager
from model.inference.engines.eager import Eager
from stores.errors import InvalidInput
from stores.quantize import Quantizer


@pytest.fixture(scope="module")
def encoder():
    return encoder_of(tiny.encoder_config("hybrid", depth=2))


class TestEagerInFp32(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, encoder):
        return Eager(encoder, "fp32")


class TestEagerInBf16(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, encoder):
        return Eager(encoder, "bf16")


class TestEagerOfCodes(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, encoder):
        return Eager(encoder, "fp32", quantizer=Quantizer())


class TestEagerOfCodesOf16Bits(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, encoder):
        return Eager(encoder, "bf16", quantizer=Quantizer(bits=16))


def test_bf16_is_not_fp32(encoder):
    windows = POWER
    exact, rounded = (Eager(encoder, precision)(windows) for precision in ("fp32", "bf16"))
    assert not np.array_equal(exact, rounded)


def test_auto_is_the_fastest_precision(encoder):
    assert Eager(encoder).settings.precision == fastest_precision()


def test_the_weights_of_the_encoder_are_not_changed(encoder):
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    Eager(encoder, "bf16")(POWER)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_power_of_a_store_is_the_input_itself(encoder):
    windows = POWER
    np.testing.assert_array_equal(
        Eager(encoder, "fp32", quantizer=Quantizer(bits=32))(windows), Eager(encoder, "fp32")(windows)
    )


def _after_block(encoder, windows, layer):
    """Return the mean over tokens after a block, computed with the encoder's modules for each kind of patch."""
    scaled, means = scale_input(torch.from_numpy(windows), encoder.config.input_scale), []
    for kind in encoder.config.patch_kinds:
        tokens = encoder.embedding(kind).embed(patchify(scaled, tiny.PATCH_SHAPES[kind]))
        for block in encoder.transformer.layers[:layer]:
            tokens = block(tokens)
        means.append(tokens.mean(dim=1))
    return torch.cat(means, dim=1).detach().numpy()


@pytest.mark.parametrize("layer", [1, 2])
def test_a_layer_is_the_mean_over_the_tokens_after_that_block(encoder, layer):
    windows = POWER
    engine = Eager(encoder, "fp32", layer)
    np.testing.assert_allclose(engine(windows), _after_block(encoder, windows, layer), atol=1e-5, rtol=1e-4)
    assert engine.settings.layer == layer
    assert not np.allclose(engine(windows), expected(encoder, windows), atol=1e-3)


@pytest.mark.parametrize("layer", [0, 3, -1])
def test_a_layer_that_does_not_exist_is_rejected(encoder, layer):
    with pytest.raises(InvalidInput, match=rf"--layer must be a block of the encoder, 1 to 2 \(got {layer}\)"):
        Eager(encoder, layer=layer)


def test_an_unknown_precision_is_rejected(encoder):
    with pytest.raises(InvalidInput, match="precision 'fp16' is unknown"):
        Eager(encoder, "fp16")


@pytest.mark.parametrize(("windows", "shape"), [(1, 1), (2, 2), (3, 4), (17, 32), (10_000, 32)])
def test_a_batch_is_a_power_of_two_up_to_the_maximum(encoder, windows, shape):
    assert Eager(encoder).with_batch_for(windows).batch_windows == shape


def test_an_empty_batch_is_rejected(encoder):
    with pytest.raises(InvalidInput, match=r"at least 1 window \(got 0\)"):
        Eager(encoder).with_batch_for(0)


def test_all_layers_come_from_one_pass_and_equal_each_layer(encoder):
    engine = Eager(encoder, "fp32", "all")
    calls = []
    hook = encoder.transformer.layers[0][1].net[1].register_forward_hook(lambda *_: calls.append(1))
    layers = engine.with_batch_for(len(POWER))(POWER)
    hook.remove()
    assert len(calls) == 1
    assert layers.shape == (len(POWER), 2, 64)
    for layer in (1, 2):
        np.testing.assert_allclose(layers[:, layer - 1], Eager(encoder, "fp32", layer)(POWER), atol=1e-6)


@pytest.mark.parametrize("layer", ["mean", "1-2"])
def test_fused_layers_are_the_mean_of_their_embeddings(encoder, layer):
    expected_mean = Eager(encoder, "fp32", "all")(POWER).mean(axis=1)
    np.testing.assert_allclose(Eager(encoder, "fp32", layer)(POWER), expected_mean, atol=1e-6)


def test_tokens_average_to_the_embedding_of_each_kind_of_patch(encoder):
    tokens = Eager(encoder, "fp32", keeps_tokens=True)(POWER)
    assert tokens.shape == (len(POWER), 96, 32)
    halves = np.concatenate([tokens[:, :48].mean(axis=1), tokens[:, 48:].mean(axis=1)], axis=1)
    np.testing.assert_allclose(halves, expected(encoder, POWER), atol=1e-5, rtol=1e-4)


def test_all_layers_of_all_tokens_are_rejected(encoder):
    with pytest.raises(InvalidInput, match="--layer all and --pool tokens cannot be combined"):
        Eager(encoder, "fp32", "all", keeps_tokens=True)


@pytest.mark.parametrize(("frames", "windows"), [(96, 32), (512, 32), (1024, 8), (3072, 1), (32_768, 1)])
def test_long_windows_have_a_smaller_batch(frames, windows):
    assert eager.max_batch(tiny.encoder_config(window_frames=frames), "cpu") == windows


def test_a_window_whose_attention_does_not_fit_into_memory_is_an_error(monkeypatch):
    monkeypatch.setattr(eager, "available_bytes", lambda: 1_000_000_000)
    encoder_of_long_windows = encoder_of(tiny.encoder_config(window_frames=32_768))
    with pytest.raises(InvalidInput, match=r"32768 frames has 16384 tokens.*needs 5.4 GB, and 1.0 GB are free"):
        Eager(encoder_of_long_windows)
