"""The one way from a frozen dataclass to JSON and back, and the one reader of JSON files.

    class MelSpec(JsonSettings): ...              # a frozen dataclass
    values = spec.to_dict()
    spec = MelSpec.from_dict(values)              # types are strict, unknown and missing keys are errors
    values = read_json(path, max_bytes=1 << 20)   # the size is bounded before the file is read

Types, choices and ranges are those of the dataclass's annotations. Whatever else a class requires stands in its
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
    """Return the value of a JSON text.

    Raises:
        ValueError: the text is not JSON, or is nested so deeply that Python's parser gives up.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


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
    found = [_problem(one["loc"], one["type"], one["msg"]) for one in error.errors()]
    more = f" and {len(found) - MAX_REPORTED_ERRORS} more" if len(found) > MAX_REPORTED_ERRORS else ""
    known = ", ".join(field.name for field in fields(kind))
    return f"{'; '.join(found[:MAX_REPORTED_ERRORS])}{more} (its keys are {known})"


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    key = ".".join(map(str, location))
    if kind == "unexpected_keyword_argument":
        return f"unknown key {key!r}"
    return f"missing key {key!r}" if kind == "missing" else f"{key}: {message}"
