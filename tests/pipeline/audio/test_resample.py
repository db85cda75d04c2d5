"""The two resamplers: in blocks as at once, and the second one equal to the formula and to the wheel of torchaudio."""

from __future__ import annotations

import ast
import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import Optional

import numpy as np
import pytest
import synthetic_audio
import torch
import torchaudio_formula

from pipeline.audio import resample
from pipeline.audio.decode import decode, preprocessing
from stores.errors import DecodeError

RATES = [
    *((44_100, 16_000), (48_000, 16_000), (22_050, 16_000), (8_000, 16_000), (11_025, 16_000), (32_000, 16_000)),
    *((96_000, 16_000), (44_100, 22_050), (16_000, 44_100), (16_010, 16_000), (192_000, 8_000)),
]
WHEEL = os.environ.get("MYNA_TORCHAUDIO_WHEEL")
"""Path of a wheel of torchaudio, as `pip download --no-deps torchaudio` gets it. It is read and not installed."""


def _noise(samples, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


def _resample(name, samples, source_rate_hz, rate_hz, block=10**9):
    stream = resample.stream(name, source_rate_hz, rate_hz)
    blocks = [stream.push(samples[start : start + block]) for start in range(0, len(samples), block)]
    return np.concatenate([*blocks, stream.finish()])


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("samples", [1, 2, 777, 20_001])
def test_torchaudio_is_its_formula_to_1e_5(rates, samples):
    sound = _noise(samples)
    expected = torchaudio_formula.resample(sound, *rates)
    resampled = _resample("torchaudio", sound, *rates)
    assert resampled.dtype == np.float32
    assert resampled.shape == expected.shape
    np.testing.assert_allclose(resampled, expected, atol=1e-5)


@pytest.mark.parametrize("rates", RATES[:6])
@pytest.mark.parametrize("block", [1, 64, 997, 5_000])
def test_torchaudio_is_the_same_in_blocks_of_any_length(rates, block):
    sound = _noise(6_000 if block > 1 else 600)
    whole = _resample("torchaudio", sound, *rates)
    np.testing.assert_allclose(_resample("torchaudio", sound, *rates, block), whole, atol=1e-6)


@pytest.mark.parametrize("piece_samples", [1, 1_009, 1 << 17])
def test_soxr_is_bit_for_bit_the_same_in_pieces(monkeypatch, piece_samples):
    sound = _noise(200_000 if piece_samples > 1 else 2_000)
    monkeypatch.setattr(resample, "PIECE_SAMPLES", 1 << 30)
    whole = _resample("soxr", sound, 44_100, 16_000)
    monkeypatch.setattr(resample, "PIECE_SAMPLES", piece_samples)
    assert np.array_equal(_resample("soxr", sound, 44_100, 16_000), whole)


@pytest.fixture(scope="module")
def torchaudio():
    """Return `torchaudio.transforms.Resample` as a function, from the wheel and without its compiled extension.

    The transform computes its kernel in float64. `torchaudio.functional.resample` computes it in float32.
    """
    if not WHEEL or not Path(WHEEL).is_file():
        pytest.skip("MYNA_TORCHAUDIO_WHEEL does not name a wheel of torchaudio")
    functions = {"torch": torch, "math": math, "warnings": warnings, "_CPU": torch.device("cpu"), "Optional": Optional}
    functions["Tensor"] = torch.Tensor
    with zipfile.ZipFile(WHEEL) as wheel:
        tree = ast.parse(wheel.read("torchaudio/functional/functional.py"))
        transforms = ast.parse(wheel.read("torchaudio/transforms/_transforms.py"))
    names = {"_get_sinc_resample_kernel", "_apply_sinc_resample_kernel", "Resample"}
    for body in (tree, transforms):
        body.body = [node for node in body.body if getattr(node, "name", "") in names]
        exec(compile(body, WHEEL, "exec"), functions)
    return lambda samples, *rates: functions["Resample"](*rates)(torch.from_numpy(samples)).numpy()


@pytest.mark.parametrize("rates", RATES)
def test_torchaudio_is_the_code_in_its_wheel_to_1e_5(torchaudio, rates):
    sound = _noise(20_001)
    expected = torchaudio(sound, *rates)
    resampled = _resample("torchaudio", sound, *rates)
    assert resampled.shape == expected.shape
    np.testing.assert_allclose(resampled, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["soxr", "torchaudio"])
def test_equal_rates_leave_the_samples_unchanged(name):
    sound = _noise(5_000)
    np.testing.assert_array_equal(_resample(name, sound, 16_000, 16_000, 999), sound)


@pytest.mark.parametrize("name", ["soxr", "torchaudio"])
def test_a_file_is_decoded_with_either_resampler(tmp_path, name):
    sound = synthetic_audio.chirp(50, 6_000, 2.0, 44_100)
    path = synthetic_audio.write(tmp_path / "x.wav", sound, 44_100, subtype="FLOAT")
    samples = decode(path, 16_000, resampler=name).samples
    np.testing.assert_allclose(samples, _resample(name, sound, 44_100, 16_000), atol=1e-6)


def test_the_resamplers_are_different_and_so_are_their_names(tmp_path):
    sound = _noise(44_100)
    difference = _resample("soxr", sound, 44_100, 16_000) - _resample("torchaudio", sound, 44_100, 16_000)
    assert np.abs(difference).max() > 0.01
    names = [preprocessing(name)["resampler"] for name in ("soxr", "torchaudio")]
    assert [name.split()[0] for name in names] == ["soxr", "torchaudio"]
    assert names[1] == "torchaudio sinc_interp_hann, lowpass_filter_width 6, rolloff 0.99"


@pytest.mark.parametrize("rate_hz", [2_147_483_647, 4_294_967_295, 999_983])
def test_an_absurd_rate_is_rejected_before_its_weights_are_computed(rate_hz):
    with pytest.raises(DecodeError, match="unreadable: torchaudio's formula needs too many weights"):
        resample.stream("torchaudio", rate_hz, 16_000)
