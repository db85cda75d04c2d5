"""Digests of settings, and differences between settings."""

from __future__ import annotations

import re

import pytest

from stores.digest import diff_settings, digest, digest_with_clips
from stores.errors import DigestMismatch
from stores.quantize import Quantizer


def test_the_order_of_keys_does_not_change_the_digest():
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})


def test_any_other_value_changes_the_digest():
    settings = [{}, {"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": [1]}, {"a": None}, {"a": True}, {"b": 1}, {"a": {"a": 1}}]
    assert len({digest(s) for s in settings}) == len(settings)


def test_the_digest_is_sixteen_hex_digits_that_never_change():
    assert re.fullmatch("[0-9a-f]{16}", digest({"a": 1}))
    assert digest({"a": 1, "ü": [0.5]}) == "0549b1d3d8821d2c"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_values_that_are_not_json_have_no_digest(bad):
    with pytest.raises((TypeError, ValueError)):
        digest({"a": bad})


MEL = {"mel_spec": {"n_mels": 128}, "quantizer": {"kind": "a"}, "preprocessing": {"decoders": ["x 1"]}}


def test_the_same_mel_has_no_differences():
    assert diff_settings(MEL, {**MEL, "format_version": 9}) == []


def test_another_decoder_or_quantizer_is_reported():
    current = {**MEL, "quantizer": {"kind": "b"}, "preprocessing": {"decoders": ["x 2"]}}
    assert diff_settings(MEL, current) == [
        "quantizer: made with a, now b",
        "preprocessing: made with decoders x 1, now decoders x 2",
    ]


def test_a_coarser_quantizer_is_reported_and_a_finer_one_is_not():
    coarse, middle, exact = ({**MEL, "quantizer": Quantizer(bits=bits).to_dict()} for bits in (8, 16, 32))
    assert diff_settings(coarse, exact) == diff_settings(coarse, middle) == diff_settings(middle, exact) == []
    assert diff_settings(exact, coarse) == [
        "quantizer: made with float32, now log10-uint8, low_decades -6.0, high_decades 4.5"
    ]
    narrow = {**MEL, "quantizer": Quantizer(low_decades=-5.0).to_dict()}
    assert len(diff_settings(narrow, middle)) == 1


def test_another_mel_specification_is_an_error():
    message = r"X was made with another mel than Y \(n_mels 128 against 64\).*with --n-mels 128$"
    with pytest.raises(DigestMismatch, match=message):
        diff_settings(MEL, {**MEL, "mel_spec": {"n_mels": 64}}, ("X", "Y"))


def test_unknown_settings_have_no_differences():
    assert diff_settings({}, MEL) == []


def test_clips_in_batches_give_the_digest_of_all_clips():
    clips = [["a", 1, "x"], None, ["ä", 2, "y"], ["c", 3, "z"]]
    settings = {"mel_spec": {"n_mels": 128}, "format_version": 3}
    expected = digest({"settings": settings, "clips": clips})
    for sizes in ([4], [1, 1, 1, 1], [0, 3, 0, 1, 0]):
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        batches = [clips[start : start + size] for start, size in zip(starts, sizes, strict=True)]
        assert digest_with_clips(settings, batches) == expected
    assert digest_with_clips(settings, []) == digest({"settings": settings, "clips": []})
