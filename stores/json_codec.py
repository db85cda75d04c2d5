"""The one way from a frozen dataclass to JSON and back, and the one reader of JSON files.

    class MelSpec(JsonSettings): ...              # a frozen dataclass
    values = spec.to_dict()
    spec = MelSpec.from_dict(values)              # types are strict, unknown and missing keys are errors
    values = read_json(path, max_bytes=1 << 20)   # the size is bounded before the file is read

Types, choices and ranges are those of the dataclass's annotations. A class checks everything else in its
`__post_init__`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from stores.commit import read_bounded
from stores.errors import CorruptArtifact, InvalidInput

MAX_REPORTED_ERRORS = 5
MAX_DEPTH = 64
"""Deepest nesting of a JSON text that is accepted."""
_MIN_INTEGER, _MAX_INTEGER = -(1 << 63), (1 << 64) - 1
Settings = TypeVar("Settings")


class JsonSettings:
    """Base of dataclasses that are stored as JSON objects."""

    _MAY_BE_MISSING: ClassVar[frozenset[str]] = frozenset()
    """Fields that older files do not have. Their defaults are what was done before they were added."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values. Nested dataclasses become objects, and tuples become arrays."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], what: str = "") -> Self:
        """Build the settings from what `to_dict` returned. Error messages call them `what` (default: the class).

        Raises:
            InvalidInput: a key is unknown or missing, or a value has another type or is out of range. Each is named.
        """
        if not isinstance(values, Mapping):
            raise InvalidInput(f"{what or cls.__name__} is {values!r}, and an object is needed")
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if missing := sorted(names - cls._MAY_BE_MISSING - set(values)):
            raise InvalidInput(f"{what or cls.__name__} has missing keys: {', '.join(missing)}")
        return from_json(cls, values, what)


def from_json(kind: type[Settings], values: Mapping[str, Any], what: str = "") -> Settings:
    """Build the dataclass `kind` from its fields as JSON values. Fields with a default may be missing.

    Error messages call the values `what` (default: the name of the class).

    Raises:
        InvalidInput: a key is unknown or missing, or a value has another type or is out of range. Each is named.
    """
    try:
        adapter: TypeAdapter[Settings] = _adapter(kind)  # type: ignore[arg-type]
        return adapter.validate_json(json.dumps(dict(values)), strict=True, extra="forbid")
    except ValidationError as error:
        raise InvalidInput(f"{what or kind.__name__}: {_problems(kind, error)}") from error
    except (TypeError, ValueError) as error:  # not a mapping, or a value that JSON cannot hold
        raise InvalidInput(f"{what or kind.__name__}: {error}") from error


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text, which may come from anywhere.

    Raises:
        ValueError: the text is not JSON, is nested deeper than `MAX_DEPTH`, or has an integer of more than 64 bits.
    """
    try:
        value = json.loads(text, parse_int=_bounded_integer)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if _count_brackets(text) > MAX_DEPTH:  # fewer brackets cannot be nested deeper
        _require_shallow(value)
    return value


_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"


def _bounded_integer(digits: str) -> int:
    value = int(digits) if len(digits) <= len(str(_MIN_INTEGER)) + 1 else _MAX_INTEGER + 1
    if not _MIN_INTEGER <= value <= _MAX_INTEGER:
        raise ValueError(f"the integer {digits[:24]} has more than 64 bits")
    return value


def _count_brackets(text: bytes | str) -> int:
    if isinstance(text, str):
        return text.count("[") + text.count("{")
    return text.count(b"[") + text.count(b"{")


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [one for one in level if isinstance(one, dict | list)]
        if not containers:
            return
        level = [item for one in containers for item in (one.values() if isinstance(one, dict) else one)]
    raise ValueError(_TOO_DEEP)


def read_json(path: Path, max_bytes: int) -> dict[str, Any]:
    """Return the object in the JSON file at `path`.

    Raises:
        CorruptArtifact: the file is larger than `max_bytes`, nested too deeply, or not a JSON object.
        OSError: from the file system.
    """
    try:
        content = parse_json(read_bounded(path, max_bytes))
    except ValueError as error:
        raise CorruptArtifact(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CorruptArtifact(f"{path} holds {type(content).__name__}, and a JSON object is needed")
    return content


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _problems(kind: type[Any], error: ValidationError) -> str:
    problems = [_problem(entry["loc"], entry["type"], entry["msg"]) for entry in error.errors()]
    more = f" and {len(problems) - MAX_REPORTED_ERRORS} more" if len(problems) > MAX_REPORTED_ERRORS else ""
    known = ", ".join(field.name for field in fields(kind))
    return f"{'; '.join(problems[:MAX_REPORTED_ERRORS])}{more} (its keys are {known})"


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    key = ".".join(map(str, location))
    if kind == "unexpected_keyword_argument":
        return f"unknown key {key!r}"
    return f"missing key {key!r}" if kind == "missing" else f"{key}: {message}"
