"""Digests of settings."""

from __future__ import annotations

import re

import pytest

from stores.fingerprint import digest


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
