"""Dataclasses as JSON: types are strict, unknown and missing keys are named, and damaged files are errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge

from stores.errors import CorruptArtifact, InvalidInput
from stores.json_codec import MAX_DEPTH, JsonSettings, from_json, parse_json, read_json


@dataclass(frozen=True)
class Inner:
    size: Annotated[int, Ge(1)] = 2
    share: float = 1.0


@dataclass(frozen=True)
class Outer(JsonSettings):
    _MAY_BE_MISSING = frozenset({"more"})

    name: str
    kind: Literal["x", "y"] = "x"
    inner: Inner = field(default_factory=Inner)
    sizes: tuple[int, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


def test_a_dataclass_comes_back_from_its_json():
    settings = Outer("a", "y", Inner(3, 0.5), (1, 2), {"z": [1]})
    assert Outer.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert from_json(Outer, {"name": "a"}) == Outer("a")


def test_a_key_may_be_missing_only_if_the_class_says_so():
    values = Outer("a").to_dict()
    del values["more"]
    assert Outer.from_dict(values) == Outer("a")
    del values["kind"], values["sizes"]
    with pytest.raises(InvalidInput, match="Outer has missing keys: kind, sizes"):
        Outer.from_dict(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "missing key 'name'"),
        ({"name": "a", "title": 1}, "unknown key 'title'"),
        ({"name": 1}, "name: Input should be a valid string"),
        ({"name": "a", "kind": "z"}, "kind: Input should be 'x' or 'y'"),
        ({"name": "a", "inner": {"size": 0}}, "inner.size: Input should be greater than or equal to 1"),
        ({"name": "a", "inner": {"size": True}}, "inner.size: Input should be a valid integer"),
        ({"name": "a", "inner": {"size": 1.0}}, "inner.size: Input should be a valid integer"),
        ({"name": "a", "inner": {"rope": 1}}, "unknown key 'inner.rope'"),
        ({"name": "a", "more": {"x": object()}}, "not JSON serializable"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(InvalidInput, match=message):
        from_json(Outer, values)


def test_a_text_that_is_nested_too_deeply_is_a_value_error():
    with pytest.raises(ValueError, match="nested more than 64 levels deep"):
        parse_json("[" * 100_000)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_is_bounded_where_the_parser_does_not_give_up(opening):
    closing = "]" if opening == "[" else "}"
    deepest = opening * MAX_DEPTH + "1" + closing * MAX_DEPTH
    assert parse_json(deepest)
    with pytest.raises(ValueError, match="nested more than 64 levels deep"):
        parse_json(f"[{deepest}]".encode())
    assert len(parse_json("[" + ",".join(["[]"] * 1000) + "]")) == 1000


def test_integers_of_more_than_64_bits_are_a_value_error():
    assert parse_json("[18446744073709551615, -9223372036854775808]") == [2**64 - 1, -(2**63)]
    for text in ("18446744073709551616", "-9223372036854775809", "9" * 5000):
        with pytest.raises(ValueError, match="has more than 64 bits"):
            parse_json(f"[{text}]")


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[1]", b'"x"', b"[" * 100_000, b"{" + b" " * 99 + b"}"])
def test_a_file_that_is_damaged_or_too_large_is_corrupt(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"x\.json"):
        read_json(tmp_path / "x.json", max_bytes=99 if content[-1:] == b"}" else 1 << 20)
