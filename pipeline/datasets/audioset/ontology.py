"""AudioSet's ontology: the display names of its classes, and the classes below each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stores.commit import read_bounded
from stores.errors import CorruptArtifact, InvalidInput
from stores.json_codec import parse_json
from stores.labels import SEPARATOR

FILE_NAME = "ontology.json"
MAX_BYTES = 1 << 26
"""Maximum size of the file. The official file has 340 kB."""
MUSIC = "/m/04rlf"


@dataclass(frozen=True)
class Ontology:
    """Classes by machine id, such as `/m/04rlf`."""

    names: Mapping[str, str]
    """Display names by machine id, such as `Music`."""
    children: Mapping[str, tuple[str, ...]]
    """Ids of the direct subclasses by machine id. A class may be a subclass of several classes."""

    def below(self, mid: str) -> frozenset[str]:
        """Return the ids of the class `mid` and of all classes below it. The file may contain cycles.

        Raises:
            InvalidInput: if there is no such class.
        """
        if mid not in self.names:
            raise InvalidInput(f"the ontology has no class {mid}; use the official {FILE_NAME}, which has 632 classes")
        reached, pending = {mid}, [mid]
        while pending:
            new = set(self.children.get(pending.pop(), ())) - reached
            reached |= new
            pending += new
        return frozenset(reached)


def read(path: Path) -> Ontology:
    """Read the official file: a list of objects with `id`, `name` and `child_ids`.

    Raises:
        InvalidInput: if the content is anything else, if a class is repeated, or if a name cannot be a tag. The message
            names the entry.
    """
    try:
        content = parse_json(read_bounded(path, MAX_BYTES))
    except (OSError, CorruptArtifact, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} cannot be read as JSON: {error}; expected AudioSet's {FILE_NAME}") from error
    if not isinstance(content, list):
        raise InvalidInput(f"{path} is a JSON {type(content).__name__}; expected AudioSet's list of classes")
    names: dict[str, str] = {}
    children: dict[str, tuple[str, ...]] = {}
    for number, entry in enumerate(content, start=1):
        if problem := _problem(entry) or ("has the id of an earlier class" if entry["id"] in names else ""):
            raise InvalidInput(
                f"{path}, class {number}: {str(entry)[:200]} {problem}; expected an object with `id`, `name` and "
                f"`child_ids`, a list of ids"
            )
        names[entry["id"]] = entry["name"]
        children[entry["id"]] = tuple(entry["child_ids"])
    return Ontology(names, children)


def _problem(entry: Any) -> str:
    if not isinstance(entry, dict):
        return "is not an object"
    for field in ("id", "name"):
        if not isinstance(entry.get(field), str) or not entry[field]:
            return f"has no text `{field}`"
    if SEPARATOR in entry["name"]:
        return f"has {SEPARATOR!r} in its name, which separates tags"
    if not isinstance(entry.get("child_ids"), list) or not all(isinstance(child, str) for child in entry["child_ids"]):
        return "has no list `child_ids`"
    return ""
