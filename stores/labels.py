"""Label values as strings, the one type that a manifest's `labels` hold: a class, a number, or several tags."""

from __future__ import annotations

from collections.abc import Iterable

from stores.errors import InvalidInput

SEPARATOR = "|"


def join_tags(tags: Iterable[str]) -> str:
    """Several tags as one label, in the order given, e.g. `guitar|slow`; no tags are an empty label.

    Raises:
        InvalidInput: for a tag that is empty or holds the separator.
    """
    tags = list(tags)
    if wrong := [tag for tag in tags if not tag or SEPARATOR in tag]:
        raise InvalidInput(f"tags {wrong} cannot be stored; a tag must not be empty nor hold {SEPARATOR!r}")
    return SEPARATOR.join(tags)


def split_tags(label: str) -> list[str]:
    """The tags of a label that `join_tags` made."""
    return label.split(SEPARATOR) if label else []


def count_noun(count: int, noun: str) -> str:
    """`1 clip`, `2 clips`: for nouns that add an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
