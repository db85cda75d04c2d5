"""The match of the paths in a table with the recordings below a folder, where they are not written alike.

A path that names a recording exactly is used as it is. Any other path is compared in steps, each looser than the one
before, until a step gives a recording. If a step gives several, it is an error, because guessing could put a test clip
into training.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.datasets import file_kinds
from stores.errors import InvalidInput

_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff]")


@dataclass(frozen=True)
class TablePath:
    """A path as a table states it."""

    text: str
    """The path."""
    line: int
    """Number of its line."""


@dataclass(frozen=True)
class Matches:
    """Recordings and the paths of a table that name them."""

    by_name: Mapping[str, Sequence[TablePath]]
    """Paths by the name of the recording. Several paths may be other spellings of one."""
    unmatched: Sequence[TablePath]
    """Paths that name no recording."""
    loose: Mapping[str, int]
    """Number of paths that were matched by each of the looser steps, by description."""


def normalize_accents(name: str) -> str:
    """Return `name` with each accented letter as one character (NFC).

    macOS may write accented letters in file names as two characters, and spreadsheets never do.
    """
    return unicodedata.normalize("NFC", name)


def match(
    paths: Iterable[TablePath], names: Sequence[str], members: Mapping[str, str], root: str, file: str
) -> Matches:
    """Match the paths of a table with the names of recordings.

    Args:
        paths: paths of the table.
        names: names of all recordings below `root`, with `/`.
        members: names of recordings in their archive, by their names below `root`.
        root: absolute path of the folder, with which paths in the table may begin.
        file: the table, for messages.

    Raises:
        InvalidInput: a path that is not exact fits several recordings. The message names two.
    """
    exact = {normalize_accents(name): name for name in names}
    by_name: dict[str, list[TablePath]] = defaultdict(list)
    rest: list[TablePath] = []
    for path in paths:
        (by_name[exact[path.text]] if path.text in exact else rest).append(path)
    taken, loose = frozenset(by_name), Counter[str]()
    for description, spelling in _STEPS.items() if rest else ():
        index, unmatched = _index(names, members, spelling), []
        for path in rest:
            if name := _find(path, index.get(spelling(_below(path.text, root)), ()), taken, file):
                by_name[name].append(path)
                loose[description] += 1
            else:
                unmatched.append(path)
        rest = unmatched
    return Matches(by_name, rest, loose)


def _find(path: TablePath, candidates: Sequence[str], taken: frozenset[str], file: str) -> str:
    """Return the candidate that a path names, or empty text. Files that match another row exactly come last."""
    fitting = [name for name in candidates if name not in taken] or candidates
    if len(fitting) > 1:
        raise InvalidInput(
            f"{file}, line {path.line}: the path {path.text!r} fits two files, {fitting[0]!r} and {fitting[1]!r}; "
            f"write the path of one of them"
        )
    return fitting[0] if fitting else ""


def _index(names: Sequence[str], members: Mapping[str, str], spelling: Callable[[str], str]) -> dict[str, list[str]]:
    index: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for spelled in {spelling(name), spelling(members.get(name, name))}:
            index[spelled].append(name)
    return index


def _below(text: str, root: str) -> str:
    """Return a path without the root, if it begins with it."""
    clean = text.strip().replace("\\", "/")
    return clean.removeprefix(f"{root.rstrip('/')}/")


def _tidy(text: str) -> str:
    """Return a path with plain slashes, without `./`, invisible letters, and spaces around its parts."""
    parts = _INVISIBLE.sub("", text).replace("\\", "/").split("/")
    return normalize_accents(posixpath.normpath("/".join(part.strip() for part in parts if part.strip())))


def _in_one_case(text: str) -> str:
    """Return a tidy path without differences of case and of compatible letters (NFKC)."""
    return unicodedata.normalize("NFKC", _tidy(text)).casefold()


def _without_suffix(text: str) -> str:
    return file_kinds.without_suffix(_in_one_case(text))


_STEPS: Mapping[str, Callable[[str], str]] = {
    "rows matched without their spaces, `./`, backslashes or the path of the root": _tidy,
    "rows matched in another case": _in_one_case,
    "rows matched with another suffix": _without_suffix,
}
