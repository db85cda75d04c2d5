"""AudioSet's ontology: what its classes are called, and which classes lie below another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stores.commit import read_bounded
from stores.errors import CorruptArtifact, InvalidInput
from stores.labels import SEPARATOR

FILE_NAME = "ontology.json"
MOST_BYTES = 1 << 26
"""The official one has 340 kB."""
MUSIC = "/m/04rlf"


@dataclass(frozen=True)
class Ontology:
    """Classes by their machine id, such as `/m/04rlf`."""

    names: Mapping[str, str]
    """Machine id to display name, e.g. `Music`."""
    children: Mapping[str, tuple[str, ...]]
    """Machine id to the ids right below it; a class may lie below several."""

    def below(self, mid: str) -> frozenset[str]:
        """The class and everything below it, whatever circles the file may hold.

        Raises:
            InvalidInput: if there is no such class.
        """
        if mid not in self.names:
            raise InvalidInput(f"the ontology has no class {mid}; use the official {FILE_NAME}, which has 632 classes")
        found, pending = {mid}, [mid]
        while pending:
            new = set(self.children.get(pending.pop(), ())) - found
            found |= new
            pending += new
        return frozenset(found)


def read(path: Path) -> Ontology:
    """Read the official file: a list of objects with `id`, `name` and `child_ids`.

    Raises:
        InvalidInput: if it is anything else, naming the entry; or if a class is there twice or cannot be a tag.
    """
    try:
        content = json.loads(read_bounded(path, MOST_BYTES))
    except (OSError, CorruptArtifact, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} cannot be read as JSON: {error}; expected AudioSet's {FILE_NAME}") from error
    if not isinstance(content, list):
        raise InvalidInput(f"{path} holds a JSON {type(content).__name__}; expected AudioSet's list of classes")
    names: dict[str, str] = {}
    children: dict[str, tuple[str, ...]] = {}
    for number, entry in enumerate(content, start=1):
        if wrong := _what_is_wrong(entry) or ("is there twice" if entry["id"] in names else ""):
            raise InvalidInput(
                f"{path}, class {number}: {str(entry)[:200]} {wrong}; expected an object with `id`, `name` and "
                f"`child_ids`, a list of ids"
            )
        names[entry["id"]] = entry["name"]
        children[entry["id"]] = tuple(entry["child_ids"])
    return Ontology(names, children)


def _what_is_wrong(entry: Any) -> str:
    if not isinstance(entry, dict):
        return "is not an object"
    for key in ("id", "name"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            return f"has no text `{key}`"
    if SEPARATOR in entry["name"]:
        return f"has {SEPARATOR!r} in its name, which separates tags"
    if not isinstance(entry.get("child_ids"), list) or not all(isinstance(child, str) for child in entry["child_ids"]):
        return "has no list `child_ids`"
    return ""
