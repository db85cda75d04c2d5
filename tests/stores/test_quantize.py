"""Quantization of power to codes and back."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.audio.mel import mel_power
from stores.errors import CorruptArtifact, InvalidInput
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

DEFAULT = Quantizer()
quantizers = st.tuples(st.floats(-20, 5), st.floats(0.5, 20)).map(
    lambda low_span: Quantizer(low_span[0], sum(low_span))
)
float_rounding = 2e-6  # of log10 in float32, decades, for the ranges above


def _powers(decades):
    return (10.0 ** np.asarray(decades, np.float64)).astype(np.float32)


@given(quantizers, arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1)))
def test_a_power_inside_the_range_is_decoded_within_half_a_step(quantizer, share):
    decades = quantizer.low_decades + share * (quantizer.high_decades - quantizer.low_decades)
    decoded = quantizer.decode(quantizer.encode(_powers(decades)))
    assert np.abs(np.log10(decoded, dtype=np.float64) - decades).max() <= quantizer.step_decades / 2 + float_rounding


@given(quantizers)
def test_every_code_is_encoded_as_itself(quantizer):
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(quantizer.encode(quantizer.decode(codes)), codes)


@given(st.lists(st.floats(0, float(np.float32(3e38)), width=32), min_size=2, max_size=50))
def test_more_power_never_gets_a_smaller_code(powers):
    codes = DEFAULT.encode(np.sort(np.array(powers, np.float32)))
    assert (np.diff(codes.astype(int)) >= 0).all()


def test_code_zero_is_exactly_zero_power():
    assert DEFAULT.decode(np.zeros(3, np.uint8)).tolist() == [0, 0, 0]
    assert DEFAULT.encode(np.array([0.0, 1e-45, 1e-30, 1e-8], np.float32)).tolist() == [0, 0, 0, 0]


def test_the_ends_of_the_range_are_the_first_and_the_last_code():
    assert DEFAULT.encode(_powers([-6, 4.5])).tolist() == [1, 255]
    np.testing.assert_allclose(DEFAULT.decode(np.array([1, 255], np.uint8)), [1e-6, 10**4.5], rtol=1e-6)


def test_powers_below_half_a_step_under_the_range_become_zero():
    step = DEFAULT.step_decades
    assert DEFAULT.encode(_powers([-6 - 0.49 * step, -6 - 0.51 * step])).tolist() == [1, 0]


def test_power_above_the_range_is_clipped():
    assert DEFAULT.encode(np.array([1e5, 1e30, np.inf], np.float32)).tolist() == [255, 255, 255]


def test_a_decoded_power_is_within_five_percent():
    powers = _powers(np.linspace(-6, 4.5, 10_001))
    error = np.abs(DEFAULT.decode(DEFAULT.encode(powers)) / powers - 1)
    assert 0.045 < error.max() <= 0.049


def test_the_table_is_read_only_and_float32():
    table = DEFAULT.table()
    assert (table.shape, table.dtype) == ((256,), np.float32)
    assert (np.diff(table) > 0).all()
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


@pytest.mark.parametrize("shape", [(0,), (3,), (128, 7), (2, 3, 4)])
def test_arrays_of_any_shape_keep_their_shape(shape):
    codes = DEFAULT.encode(np.ones(shape, np.float32))
    assert (codes.shape, codes.dtype) == (shape, np.uint8)
    assert DEFAULT.decode(codes).shape == shape


def test_the_loudest_possible_sound_is_not_clipped():
    peaks = [mel_power(synthetic_audio.square(hz, 1.0), MelSpec()).max() for hz in (31.25, 100, 250, 1000, 3000)]
    assert 4.0 < np.log10(max(peaks)) < DEFAULT.high_decades
    constant = mel_power(np.ones(16_000, np.float32), MelSpec()).max()
    assert np.log10(constant) < DEFAULT.high_decades


def test_the_rounding_noise_of_sixteen_bits_lies_below_the_range():
    rng = np.random.default_rng(0)
    dither = (rng.uniform(-0.5, 0.5, 32_000) / 32_768).astype(np.float32)
    assert np.median(mel_power(dither, MelSpec())) < 10**DEFAULT.low_decades


def test_settings_can_be_converted_to_json_and_back():
    assert Quantizer.from_dict(Quantizer(-5.0, 3.0).to_dict()) == Quantizer(-5.0, 3.0)
    assert DEFAULT.to_dict() == {"kind": "log10-uint8", "low_decades": -6.0, "high_decades": 4.5}


@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 0), (-40, 0), (0, 40), (float("nan"), 1)])
def test_impossible_ranges_are_an_error(low, high):
    with pytest.raises(InvalidInput, match="low_decades < high_decades"):
        Quantizer(low, high)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"kind": "linear-uint16"},
        {"kind": "log10-uint8", "low_decades": -6.0},
        {"kind": "log10-uint8", "low_decades": -6.0, "high_decades": 4.5, "dither": True},
        {"kind": "log10-uint8", "low_decades": None, "high_decades": 4.5},
        None,
    ],
)
def test_settings_of_another_version_are_an_error(settings):
    with pytest.raises(CorruptArtifact, match="quantizer"):
        Quantizer.from_dict(settings)
