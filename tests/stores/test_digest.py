"""Digests of settings."""

from __future__ import annotations

import re

import pytest

from stores.digest import diff_settings, digest
from stores.errors import DigestMismatch
from stores.quantize import Quantizer


def test_the_order_of_keys_does_not_matter():
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})


def test_any_other_value_changes_it():
    settings = [{}, {"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": [1]}, {"a": None}, {"a": True}, {"b": 1}, {"a": {"a": 1}}]
    assert len({digest(s) for s in settings}) == len(settings)


def test_it_is_sixteen_hex_digits_that_never_change():
    assert re.fullmatch("[0-9a-f]{16}", digest({"a": 1}))
    assert digest({"a": 1, "ü": [0.5]}) == "0549b1d3d8821d2c"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_what_is_no_json_has_no_digest(bad):
    with pytest.raises((TypeError, ValueError)):
        digest({"a": bad})


MEL = {"mel_spec": {"n_mels": 128}, "quantizer": {"kind": "a"}, "preprocessing": {"decoders": ["x 1"]}}


def test_the_same_mel_differs_in_nothing():
    assert diff_settings(MEL, {**MEL, "format_version": 9}) == []


def test_another_decoder_or_quantiser_is_told():
    here = {**MEL, "quantizer": {"kind": "b"}, "preprocessing": {"decoders": ["x 2"]}}
    assert diff_settings(MEL, here) == [
        "quantizer: then a, now b",
        "preprocessing: then decoders x 1, now decoders x 2",
    ]


def test_a_finer_quantiser_is_not_told_a_coarser_one_in_words():
    coarse, middle, exact = ({**MEL, "quantizer": Quantizer(bits=bits).to_dict()} for bits in (8, 16, 32))
    assert diff_settings(coarse, exact) == diff_settings(coarse, middle) == diff_settings(middle, exact) == []
    assert diff_settings(exact, coarse) == [
        "quantizer: then float32, now log10-uint8, low_decades -6.0, high_decades 4.5"
    ]
    narrow = {**MEL, "quantizer": Quantizer(low_decades=-5.0).to_dict()}
    assert len(diff_settings(narrow, middle)) == 1


def test_another_definition_of_the_mel_is_refused():
    with pytest.raises(DigestMismatch, match=r"made with mel \{'n_mels': 128\}, here is \{'n_mels': 64\}"):
        diff_settings(MEL, {**MEL, "mel_spec": {"n_mels": 64}})


def test_what_is_unknown_differs_in_nothing():
    assert diff_settings({}, MEL) == []
