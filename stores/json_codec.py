"""The one way from a frozen dataclass to JSON and back, and the one reader of JSON files.

    values = to_json(settings)                    # nested dataclasses become objects, tuples become arrays
    settings = from_json(Settings, values)        # types are strict, unknown keys are errors
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
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from stores.commit import read_bounded
from stores.errors import CorruptArtifact, InvalidInput

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAX_REPORTED_ERRORS = 5
Settings = TypeVar("Settings", bound="DataclassInstance")


def to_json(settings: DataclassInstance) -> dict[str, Any]:
    """Return the fields of a dataclass as JSON values. `from_json` is the inverse."""
    return asdict(settings)


def from_json(kind: type[Settings], values: Mapping[str, Any], what: str = "") -> Settings:
    """Build the dataclass `kind` from what `to_json` returned.

    Args:
        kind: a dataclass whose fields have JSON types, or are such dataclasses.
        values: its fields by name. Fields with a default may be missing.
        what: a name of the values for error messages (default: the name of the class).

    Raises:
        InvalidInput: a key is unknown or missing, or a value has another type or is out of range. Each is named.
    """
    try:
        settings: Settings = _adapter(kind).validate_json(json.dumps(dict(values)), strict=True, extra="forbid")
        return settings
    except ValidationError as error:
        raise InvalidInput(f"{what or kind.__name__}: {_problems(kind, error)}") from error
    except (TypeError, ValueError) as error:  # a value that JSON cannot hold
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
def _adapter(kind: type[Settings]) -> TypeAdapter[Settings]:
    return TypeAdapter(kind)


def _problems(kind: type[DataclassInstance], error: ValidationError) -> str:
    found = [_problem(one["loc"], one["type"], one["msg"]) for one in error.errors()]
    more = f" and {len(found) - MAX_REPORTED_ERRORS} more" if len(found) > MAX_REPORTED_ERRORS else ""
    known = ", ".join(field.name for field in fields(kind))
    return f"{'; '.join(found[:MAX_REPORTED_ERRORS])}{more} (its keys are {known})"


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    key = ".".join(map(str, location))
    if kind == "unexpected_keyword_argument":
        return f"unknown key {key!r}"
    return f"missing key {key!r}" if kind == "missing" else f"{key}: {message}"
