"""The mel as products of small DFTs equals the mel of an ingest, whatever its definition is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.inference.samples_graph.mel_module import MelModule, factors
from pipeline.audio.mel import mel_power
from stores.mel_spec import MelSpec

SPECS = [
    MelSpec(),
    MelSpec(n_fft=1024, hop_samples=160, fmin_hz=60, fmax_hz=7800),
    MelSpec(n_fft=1000, hop_samples=300, n_mels=64),
    MelSpec(n_fft=2 * 509, hop_samples=400, n_mels=32),  # twice a prime
    MelSpec(sample_rate_hz=22_050, n_fft=4096, hop_samples=4096, fmax_hz=11_025),
]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("length", [0, 1, 30_001])
def test_the_mel_is_that_of_an_ingest(spec, length):
    samples = np.random.default_rng(0).uniform(-1, 1, spec.min_samples + length).astype(np.float32)
    expected = mel_power(samples, spec)
    with torch.inference_mode():
        actual = MelModule(spec)(torch.from_numpy(np.stack([samples, -samples]))).numpy()
    assert actual.shape == (2, *expected.shape)
    np.testing.assert_allclose(actual[0], expected, rtol=1e-5, atol=2e-6 * expected.max())
    np.testing.assert_allclose(actual[1], actual[0], rtol=1e-5, atol=2e-6 * expected.max())


@pytest.mark.parametrize(("size", "expected"), [(2048, (32, 64)), (1024, (32, 32)), (1018, (2, 509)), (2, (1, 2))])
def test_a_size_has_two_factors_close_to_each_other(size, expected):
    assert factors(size) == expected
